"""A chest drawn twice, shifted and turned, with nodules that grow by known factors: what `follow-up` says of them."""

from __future__ import annotations

import csv
import json
import math
from datetime import date
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

import lungline
from lungline.detection.candidates import extract_candidates
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.lungs import segment_lungs
from lungline.imaging.volume import Volume
from lungline.nodules.matching import COLUMNS, doubling_days, pair_points
from lungline.nodules.measurements import measure_candidates
from lungline.nodules.table import Grid, describe_candidates
from lungline.privacy.identity import acquisition_date
from lungline.stages import follow_up
from lungline.stages.follow_up import Subject
from lungline.storage.results import read_result, write_result
from lungline.synthetic.anatomy import sample_anatomy
from lungline.synthetic.phantom import simulate_chest
from lungline.synthetic.rendering import add_noise, ball_distance, make_grid, paint
from scans import chest, write_dicom, write_mhd

SHAPE, SPACING = (124, 150, 210), (1.0, 1.0, 1.0)
FIRST_ZYX = (0.0, -75.0, -105.0)
TURN = Rotation.from_euler("zx", [7, -4], degrees=True).as_matrix()
SHIFT = np.array([9.0, -6.0, 12.0])
#: Centre x, y, z mm and diameter mm in the first scan, and by what the volume grows; None: not there.
NODULES = [
    ((-45.0, 0.0, 60.0), 8.0, 2.0),
    ((46.0, 5.0, 75.0), 10.0, 1.5),
    ((-48.0, 20.0, 35.0), 14.0, 0.6),
    ((44.0, 22.0, 45.0), 9.0, 1.0),
    ((-40.0, -12.0, 85.0), 9.0, None),
]
NEW = ((50.0, -8.0, 50.0), 8.0)


def subject(hu: np.ndarray, balls, seed: int) -> Subject:
    """The scan with its balls painted in; what a detector finds that outlines them exactly."""
    grid = make_grid(SHAPE, SPACING, FIRST_ZYX)
    for centre, diameter in balls:
        middle, r = np.array(centre), diameter / 2
        paint(hu, grid, middle - r - 1, middle + r + 1, ball_distance(middle, r), 40.0)
    add_noise(hu, np.random.default_rng(seed), 20.0)
    affine = geometry.make_affine(SPACING, FIRST_ZYX[::-1])
    ct = Volume(hu, affine)
    lungs = ct.with_array(segment_lungs(ct)[0])
    x, y, z = grid.mesh((slice(None),) * 3)
    inside = np.min([ball_distance(np.array(c), d / 2)(x, y, z) for c, d in balls], axis=0) <= 0
    probability = ct.with_array(inside.astype(np.float32))
    found, labels = extract_candidates(probability, threshold=0.8)
    measured = measure_candidates(ct, labels.array, [candidate.label for candidate in found])
    rows = describe_candidates(found, measured, lungs, Grid(SHAPE, affine))
    return Subject(ct, lungs, rows)


@pytest.fixture(scope="module")
def twice() -> tuple[Subject, Subject]:
    rng = np.random.default_rng(3)
    plain = simulate_chest(make_grid(SHAPE, SPACING, FIRST_ZYX), sample_anatomy(rng, 0.55), [], rng)
    first_xyz = np.array(FIRST_ZYX[::-1])
    # the later scan at world p shows the earlier at TURN' (p - SHIFT); both grids are the same
    back = TURN.T
    offset = back @ (first_xyz - SHIFT) - first_xyz
    reverse = np.eye(3)[::-1]
    turned = ndimage.affine_transform(
        plain, reverse @ back @ reverse, offset=offset[::-1], order=1, mode="constant", cval=-1000.0
    )
    before = [(centre, diameter) for centre, diameter, _ in NODULES]
    after = [(TURN @ c + SHIFT, d * growth ** (1 / 3)) for c, d, growth in NODULES if growth is not None]
    return subject(plain, before, 1), subject(turned, [*after, (TURN @ NEW[0] + SHIFT, NEW[1])], 2)


@pytest.fixture(scope="module")
def followed(twice):
    return follow_up.compare(*twice, days=100, tolerance_mm=12.0)


def test_the_motion_is_found_to_a_millimetre_and_a_half(followed) -> None:
    transform = followed[1]
    points = np.array([centre for centre, _, _ in NODULES])
    assert np.linalg.norm(transform.apply(points) - (points @ TURN.T + SHIFT), axis=1).max() < 1.5
    assert np.abs(transform.apply_inverse(transform.apply(points)) - points).max() < 1e-9
    assert transform.overlap > 0.9


def test_growth_of_nodules_of_8_mm_and_more_is_right_within_10_percent(followed) -> None:
    paired = {(round(r.x_mm_before), round(r.y_mm_before)): r for r in followed[0] if r.state == "paired"}
    assert len(paired) == 4
    for (x, y, _), _, growth in NODULES[:4]:
        row = paired[round(x), round(y)]
        assert 1 + row.volume_change_percent / 100 == pytest.approx(growth, rel=0.1)
        assert row.distance_mm < 1.5
        if growth > 1:
            assert row.doubling_days == pytest.approx(100 * math.log(2) / math.log(growth), rel=0.15)
        if growth < 1:
            assert row.doubling_days is None


def test_what_is_new_and_what_is_gone_is_named(followed) -> None:
    (new,) = [row for row in followed[0] if row.state == "new"]
    (gone,) = [row for row in followed[0] if row.state == "gone"]
    assert np.allclose((new.x_mm_after, new.y_mm_after, new.z_mm_after), TURN @ NEW[0] + SHIFT, atol=0.5)
    assert (new.rank_before, new.volume_change_percent, new.laterality) == (None, None, "left")
    assert np.allclose((gone.x_mm_before, gone.y_mm_before, gone.z_mm_before), NODULES[4][0], atol=0.5)
    assert [row.state for row in followed[0]] == ["paired"] * 4 + ["new", "gone"]


def test_a_place_that_the_other_scan_does_not_show_is_neither_new_nor_gone(twice) -> None:
    first, second = twice
    upper = (slice(50, None), slice(None), slice(None))
    short = Subject(first.ct.crop(upper), first.lungs.crop(upper), [n for n in first.nodules if n.z_mm > 55])
    rows, _ = follow_up.compare(short, second, days=None, tolerance_mm=12.0)
    states = {row.state: row for row in rows}
    assert states["not-imaged"].z_mm_after < 65
    assert all(row.doubling_days is None for row in rows)


def test_scans_that_do_not_fit_are_refused(twice) -> None:
    first, _ = twice
    other = np.zeros_like(first.lungs.array)
    other[20:30, 60:70, 60:160] = True
    with pytest.raises(LunglineError, match="of one patient"):
        follow_up.compare(first, Subject(first.ct, first.lungs.with_array(other), []), days=1, tolerance_mm=12.0)


def test_table_json_and_page_say_the_same(twice, followed, tmp_path) -> None:
    rows, transform = followed
    for name in ("a", "b"):
        write_result(tmp_path / f"nodules/{name}.json", {"scan": name})
    tables = [tmp_path / "nodules/a.json", tmp_path / "nodules/b.json"]
    output = tmp_path / "follow-up.json"
    follow_up.write(output, tables, rows, list(twice), transform, days=100, tolerance_mm=12.0, notes=["<b>odd</b>"])
    result = read_result(output)
    schema = json.loads((Path(lungline.__path__[0]) / "schemas/follow-up-2.json").read_text())
    jsonschema.validate(result, schema)
    with open(output.with_suffix(".csv"), newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    assert tuple(table[0]) == COLUMNS
    for words, row in zip(table, result["nodules"], strict=True):
        assert words == {key: "" if value is None else words[key] for key, value in row.items()}
        assert float(words["volume_mm3_after"] or 0) == (row["volume_mm3_after"] or 0)
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 1 + len(rows)
    assert page.count("data:image/png;base64,") == 2 * len(rows)
    assert "&lt;b&gt;odd" in page
    assert "Not a medical device" in page
    assert f"{rows[0].volume_change_percent:+.0f} %" in page
    assert "candidate 1" in page


def test_nothing_is_paired_beyond_the_tolerance_and_the_sum_of_distances_is_smallest() -> None:
    before = np.array([[0.0, 0, 0], [4, 0, 0], [50, 0, 0]])
    after = np.array([[3.0, 0, 0], [8, 0, 0], [80, 0, 0]])
    assert pair_points(before, after, 12) == [(0, 0), (1, 1)]  # the nearest first would leave 0 with 8
    assert pair_points(before, after, 2) == [(1, 0)]
    assert pair_points(before[:0], after, 12) == []


def test_a_volume_doubles_when_it_should() -> None:
    assert doubling_days(100, 200, 90) == pytest.approx(90)
    assert doubling_days(100, 400, 90) == pytest.approx(45)
    assert doubling_days(100, 100, 90) is doubling_days(100, 50, 90) is doubling_days(100, 200, None) is None


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_the_date_is_that_of_the_headers(tmp_path) -> None:
    def dated(k, dataset):
        dataset.StudyDate, dataset.AcquisitionDate = "20200101", "" if k else "20200229"

    write_dicom(tmp_path / "a", chest((3, 6, 7)), change=dated)
    assert acquisition_date(tmp_path / "a") == date(2020, 2, 29)
    write_dicom(tmp_path / "b", chest((3, 6, 7)), change=lambda _, d: setattr(d, "StudyDate", "20209999"))
    assert acquisition_date(tmp_path / "b") is None
    assert acquisition_date(write_mhd(tmp_path / "c.mhd", chest((3, 6, 7)))) is None
