"""A chest drawn twice, shifted and turned, with nodules that grow by known factors: what `follow-up` says of them."""

from __future__ import annotations

import csv
import json
import math
import pickle
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

import lungline
from lungline.cli import parser_of
from lungline.detection.candidates import extract_candidates
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.lungs import segment_lungs
from lungline.imaging.volume import Volume
from lungline.nodules.follow_up_table import COLUMNS, follow_chains
from lungline.nodules.measurements import measure_candidates
from lungline.nodules.table import SourceGrid, describe_candidates
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
    rows = describe_candidates(found, measured, lungs, SourceGrid(SHAPE, affine))
    return Subject(ct, lungs, rows, SPACING[0])


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
    return follow_up.compare(twice, days=[0, 100], tolerance_mm=12.0)


def states(row) -> tuple[str, ...]:
    return tuple(cell.state for cell in row.cells)


def test_the_motion_is_found_to_a_millimetre_and_a_half(followed) -> None:
    (transform,) = followed.transforms
    points = np.array([centre for centre, _, _ in NODULES])
    assert np.linalg.norm(transform.apply(points) - (points @ TURN.T + SHIFT), axis=1).max() < 1.5
    assert np.abs(transform.apply_inverse(transform.apply(points)) - points).max() < 1e-9
    assert transform.overlap > 0.9


def test_growth_of_nodules_of_8_mm_and_more_is_right_within_10_percent(followed) -> None:
    paired = [row for row in followed.rows if states(row) == ("found", "found")]
    assert len(paired) == 4
    by_place = {(round(row.cells[0].seen.x_mm), round(row.cells[0].seen.y_mm)): row for row in paired}
    for (x, y, _), _, growth in NODULES[:4]:
        row = by_place[round(x), round(y)]
        change = row.whole_change
        assert 1 + change.volume_change_percent / 100 == pytest.approx(growth, rel=0.1)
        assert row.cells[1].distance_mm < 1.5
        if growth != 1:
            assert change.doubling_days == pytest.approx(100 * math.log(2) / math.log(growth), rel=0.15)
        least = math.log1p(change.smallest_growth_percent / 100)
        assert least > math.log(1.6)  # by the error table, whose outlines are a detector's
        word = "growth" if growth > 1 else "shrinkage"
        assert change.volume_trend == (word if abs(math.log(growth)) > least else "within-error")
    assert by_place[-48, 20].whole_change.volume_trend == "shrinkage"


def test_what_is_new_and_what_is_gone_is_named(followed) -> None:
    assert [states(row) for row in followed.rows] == [("found", "found")] * 4 + [("not-yet", "new"), ("found", "gone")]
    assert [row.nodule for row in followed.rows] == [1, 2, 3, 4, 5, 6]
    new, gone = followed.rows[4:]
    seen = new.cells[1].seen
    assert np.allclose((seen.x_mm, seen.y_mm, seen.z_mm), TURN @ NEW[0] + SHIFT, atol=0.5)
    assert (new.cells[0].seen, new.whole_change, new.laterality) == (None, None, "left")
    seen = gone.cells[0].seen
    assert np.allclose((seen.x_mm, seen.y_mm, seen.z_mm), NODULES[4][0], atol=0.5)


def test_a_nodule_keeps_its_number_over_a_scan_that_misses_it(twice) -> None:
    first, second = twice
    (x, y, z), _, _ = NODULES[1]
    third = replace(
        first, nodules=[n for n in first.nodules if np.linalg.norm([n.x_mm - x, n.y_mm - y, n.z_mm - z]) > 3]
    )
    followed = follow_up.compare([first, third, second], days=[0, 50, 400], tolerance_mm=12.0)
    (row,) = [row for row in followed.rows if "missed" in states(row)]
    assert states(row) == ("found", "missed", "found")
    assert row.cells[2].since_previous == row.cells[2].since_first == row.whole_change
    assert (row.whole_change.scan, row.whole_change.days) == (1, 400)
    assert 1 + row.whole_change.volume_change_percent / 100 == pytest.approx(1.5, rel=0.1)
    assert row.cells[2].distance_mm < 2


def test_a_nodule_has_a_finding_and_what_was_looked_at_counts_only_as_the_other_end_of_one(twice, followed) -> None:
    """What no score makes a finding is neither new nor gone; a finding that fades is not gone."""
    new, gone = (row.cells[k].seen.rank for row, k in zip(followed.rows[4:], (1, 0), strict=True))
    fading, ignored = ([cell.seen.rank for cell in row.cells] for row in followed.rows[:2])
    before = [replace(n, finding=n.rank not in (gone, ignored[0])) for n in twice[0].nodules]
    after = [replace(n, finding=n.rank not in (new, fading[1], ignored[1])) for n in twice[1].nodules]
    chains = [chain for chain, _ in followed.nodules]
    rows = [
        row for _, row in follow_chains(chains, [before, after], [[True, True]] * len(chains), [0, 100], [None, None])
    ]
    assert [states(row) for row in rows] == [("found", "found")] * 3
    (faded,) = [row for row in rows if row.cells[0].seen.rank == fading[0]]
    assert [cell.seen.finding for cell in faded.cells] == [True, False]


def test_a_place_that_the_other_scan_does_not_show_is_neither_new_nor_gone(twice) -> None:
    first, second = twice
    upper = (slice(50, None), slice(None), slice(None))
    short = Subject(first.ct.crop(upper), first.lungs.crop(upper), [n for n in first.nodules if n.z_mm > 55])
    rows = follow_up.compare([short, second], days=[None, None], tolerance_mm=12.0).rows
    below = [row.cells[1].seen.z_mm for row in rows if states(row) == ("not-imaged", "found")]
    assert below
    assert max(below) < 65
    changes = [row.whole_change for row in rows if row.whole_change]
    assert changes
    assert all(change.doubling_days is None for change in changes)


def test_scans_that_do_not_fit_are_refused(twice) -> None:
    first, _ = twice
    other = np.zeros_like(first.lungs.array)
    other[20:30, 60:70, 60:160] = True
    with pytest.raises(LunglineError, match="of one patient"):
        follow_up.compare([first, Subject(first.ct, first.lungs.with_array(other), [])], days=[0, 1], tolerance_mm=12.0)


def written(output: Path, subjects, followed, **more) -> None:
    """The files of a follow-up, of nodule tables beside OUTPUT."""
    tables = [output.parent / f"nodules/{name}.json" for name in "abc"[: len(subjects)]]
    for table in tables:
        if not table.exists():
            write_result(table, {"scan": table.stem})
    days = [0, 100, 300][: len(subjects)]
    known: dict = {"days": days, "ordered_by": "given", "tolerance_mm": 12.0, "notes": []}
    follow_up.write(output, tables, followed, list(subjects), **known | more)


def test_table_json_and_page_say_the_same(twice, followed, tmp_path) -> None:
    output = tmp_path / "follow-up.json"
    written(output, twice, followed, notes=["<b>odd</b>"])
    result = read_result(output)
    schema = json.loads((Path(lungline.__path__[0]) / "schemas/follow-up-3.json").read_text())
    jsonschema.validate(result, schema)
    with open(output.with_suffix(".csv"), newline="", encoding="utf-8") as handle:
        table = list(csv.DictReader(handle))
    assert tuple(table[0]) == COLUMNS
    cells = [(nodule, cell) for nodule in result["nodules"] for cell in nodule["cells"]]
    for words, (nodule, cell) in zip(table, cells, strict=True):
        assert (words["nodule"], words["scan"]) == (str(nodule["nodule"]), str(cell["scan"]))
        assert words["state"] == cell["state"]
        assert float(words["volume_mm3"] or 0) == (cell["seen"] or {"volume_mm3": 0})["volume_mm3"]
        since = cell["since_previous"] or {"volume_change_percent": None}
        assert words["volume_change_percent_since_previous"] in ("", f"{since['volume_change_percent'] or 0:.9g}")
    page = output.with_suffix(".html").read_text(encoding="utf-8")
    assert page.count("<tr>") == 1 + len(followed.rows) == page.count("<svg") + 1
    assert page.count("data:image/png;base64,") == 2 * len(followed.rows)
    assert "&lt;b&gt;odd" in page
    assert "Not a medical device" in page
    assert f"{followed.rows[0].whole_change.volume_change_percent:+.0f} %" in page
    assert f"number 1, score {twice[0].nodules[0].score:.3f}" in page


def test_scans_without_a_finding_have_a_page_that_says_so(twice, followed, tmp_path) -> None:
    output = tmp_path / "follow-up.json"
    written(output, twice, replace(followed, nodules=[]))
    assert "No scan has a finding" in output.with_suffix(".html").read_text(encoding="utf-8")
    assert read_result(output)["nodules"] == []


AGAIN = """
import pickle, sys
from pathlib import Path
from lungline.stages import follow_up

here = Path(sys.argv[1])
twice = pickle.loads((here / "twice").read_bytes())
followed = follow_up.compare(twice, days=[0, 100], tolerance_mm=12.0, seed=int(sys.argv[3]))
tables = [here / "nodules/a.json", here / "nodules/b.json"]
known = {"days": [0, 100], "ordered_by": "given", "tolerance_mm": 12.0, "notes": []}
follow_up.write(here / sys.argv[2], tables, followed, list(twice), **known)
"""


def test_the_same_scans_give_the_same_bytes_here_and_in_another_process(twice, tmp_path) -> None:
    """SimpleITK draws its points by the clock unless it is given a seed, and by seed 0 it means the clock, too."""
    (tmp_path / "twice").write_bytes(pickle.dumps(twice))
    for number in range(2):
        written(tmp_path / f"here-{number}.json", twice, follow_up.compare(twice, days=[0, 100], tolerance_mm=12.0))
    for name, seed in (("elsewhere.json", "0"), ("another-seed.json", "5")):
        subprocess.run([sys.executable, "-c", AGAIN, str(tmp_path), name, seed], check=True)

    def made(name: str) -> list[bytes]:
        return [(tmp_path / name).with_suffix(suffix).read_bytes() for suffix in (".json", ".csv", ".html")]

    assert made("here-0") == made("here-1") == made("elsewhere")
    assert made("here-0")[0] != made("another-seed")[0]


@pytest.mark.parametrize("words", ["a b --days 90", "--days 90 a b", "a --days 90 b", "a b c --days 90,180"])
def test_two_scans_or_more_are_named_with_options_around_them(words) -> None:
    named = parser_of(follow_up.run, "follow-up").parse_args(words.split())
    scans = [str(named.before), *map(str, named.after)]
    assert scans == [word for word in words.split() if word in "abc"]
    assert named.days == ("90,180" if "c" in scans else "90")


DAY = [date(2020, 1, 1), date(2020, 4, 1), date(2021, 1, 1)]
SCANS = [Path("a"), Path("b"), Path("c")]


def test_scans_are_ordered_by_their_dates_where_all_have_one_else_as_given() -> None:
    line = follow_up.timeline(SCANS, [DAY[1], DAY[2], DAY[0]], None)
    assert (line.raws, line.days, line.ordered_by) == ([Path("c"), Path("a"), Path("b")], [0, 91, 366], "dates")
    assert line.notes == ["Ordered by the dates in the headers; in that order they were named as 3, 1, 2."]
    line = follow_up.timeline(SCANS, [DAY[0], None, DAY[2]], None)
    assert (line.raws, line.days, line.ordered_by, line.notes) == (SCANS, [0, None, 366], "given", [])
    line = follow_up.timeline(SCANS, [DAY[1], DAY[0], None], [0, 90, 270])
    assert (line.raws, line.days, line.ordered_by) == (SCANS, [0, 90, 270], "given")
    assert "contradict" in line.notes[0]


def test_dates_that_contradict_the_order_are_refused() -> None:
    with pytest.raises(LunglineError, match=r"^c: expected the earlier scan first"):
        follow_up.timeline(SCANS, [DAY[1], None, DAY[0]], None)


@pytest.mark.filterwarnings("ignore:Invalid value for VR DA")
def test_the_date_is_that_of_the_headers(tmp_path) -> None:
    def dated(k, dataset):
        dataset.StudyDate, dataset.AcquisitionDate = "20200101", "" if k else "20200229"

    write_dicom(tmp_path / "a", chest((3, 6, 7)), change=dated)
    assert acquisition_date(tmp_path / "a") == date(2020, 2, 29)
    write_dicom(tmp_path / "b", chest((3, 6, 7)), change=lambda _, d: setattr(d, "StudyDate", "20209999"))
    assert acquisition_date(tmp_path / "b") is None
    assert acquisition_date(write_mhd(tmp_path / "c.mhd", chest((3, 6, 7)))) is None
