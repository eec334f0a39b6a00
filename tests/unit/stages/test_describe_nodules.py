"""The nodule table, from a drawn chest with balls of known size through the stages that make it."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import lungline
from lungline.detection.candidates import Candidate, rank_again, read_candidates, write_candidates
from lungline.errors import GeometryError, LunglineError
from lungline.imaging import geometry
from lungline.imaging.lungs import LungQuality
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import measure_candidates
from lungline.nodules.table import COLUMNS, SourceGrid, describe_candidates, places_in_lungs, read_nodules
from lungline.stages import cache_volume, describe_nodules, extract_candidates, resample
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.predictions import ANSWER_COLUMNS, read_answers
from lungline.storage.tables import table_text
from stage_settings import CACHE, CANDIDATES, RESAMPLE

SPACING = (1.25, 0.7, 0.7)
ORIGIN = (-91.0, -63.0, 500.0)
SHAPE = (110, 170, 250)
#: diameter mm, centre x, y, z mm, HU, the patient's side and third
BALLS = [
    (18.0, (45.3, -8.2, 548.4), 40, "left", "lower"),
    (12.0, (-40.1, 3.3, 571.7), 40, "right", "middle"),
    (9.0, (-42.6, 1.2, 610.9), -600, "right", "upper"),
    (6.0, (38.0, 10.5, 601.3), 40, "left", "upper"),
]
LOGITS = (-1.5, 0.25, 2.0)


def inside(grid: Volume, centre_xyz_mm, diameter_mm) -> np.ndarray:
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    return np.linalg.norm(geometry.voxel_to_world(grid.affine, index) - centre_xyz_mm, axis=-1) <= diameter_mm / 2


def lungs_on(grid: Volume) -> np.ndarray:
    """Two ellipsoids, 100 mm high, 40 mm left and right of the middle."""
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape_zyx), indexing="ij"), axis=-1)
    x, y, z = np.moveaxis(geometry.voxel_to_world(grid.affine, index), -1, 0)
    return np.hypot(np.hypot((abs(x + 3.5) - 42) / 32, (y + 3) / 45), (z - 568) / 55) <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Files of all stages of the scan s, {stage}/s.h5, its probability being 0.9 in the balls."""
    folder = tmp_path_factory.mktemp("chain")
    scanned = Volume(np.zeros(SHAPE, np.int16), geometry.make_affine(SPACING, ORIGIN))
    lungs = lungs_on(scanned)
    hu = np.where(lungs, -850, 30).astype(np.int16)
    for diameter_mm, centre, value, *_ in BALLS:
        hu[inside(scanned, centre, diameter_mm)] = value
    field = hdf5.volume_field(scanned.with_array(hu), "HU", "")
    hdf5.write_file(
        folder / "ingest" / "s.h5", Header("ct_hu", "ingest", (Flag("W_TILT", "2 degrees"),)), {"ct": field}
    )
    resample.run(folder / "ingest" / "s.h5", folder / "resample" / "s.h5", **RESAMPLE)
    ct = hdf5.read_volume(folder / "resample" / "s.h5", "ct")
    mask = ct.with_array(lungs_on(ct))
    header = hdf5.read_header(folder / "resample" / "s.h5")
    quality = LungQuality(2000.0, 900.0, 1100.0, -850.0, 0.02, 0.0, 0.0, 0.0, 0.0, 0.0).as_json()
    fields = {name: hdf5.volume_field(mask, "1", "") for name in ("lungs", "mask")}
    about = Header("lung_mask", "segment_lungs", header.flags, provenance={"quality": quality})
    hdf5.write_file(folder / "lungs" / "s.h5", about, fields)
    cache_volume.run(folder / "resample" / "s.h5", folder / "lungs" / "s.h5", folder / "cache" / "s.h5", **CACHE)
    cache = hdf5.read_volume(folder / "cache" / "s.h5", "ct")
    probability = np.zeros(cache.shape_zyx, np.float16)
    for diameter_mm, centre, *_ in BALLS:
        probability[inside(cache, centre, diameter_mm)] = 0.9
    field = hdf5.volume_field(cache.with_array(probability), "1", "")
    hdf5.write_file(
        folder / "detect" / "s.h5", Header("nodule_probability", "detect", header.flags), {"probability": field}
    )
    extract_candidates.run(folder / "detect", folder / "candidates", scans=["s"], **CANDIDATES)
    answer = {"scan": "s", "logit": 2.0, "cancer_probability": 0.880797078, "n_candidates": 4, "deciding_rank": 3}
    answer |= {"status": "warned", "flags": "W_TILT;W_TRAINING_CASE", "candidate_logits": ";".join(map(str, LOGITS))}
    rows = [[answer.get(name, "") for name in ANSWER_COLUMNS]]
    (folder / "answers.csv").write_text(table_text(ANSWER_COLUMNS, rows))
    return folder


def described(folder, **change) -> dict:
    files = {"ingested": "ingest/s.h5", "volume": "resample/s.h5", "lungs": "lungs/s.h5"}
    files |= {"labels": "candidates/s.h5", "candidates": "candidates/s.csv"}
    files |= {"predictions": "answers.csv"}
    options = {key: folder / name for key, name in files.items()} | change
    describe_nodules.run(folder / "nodules.json", scan="s", classifier="m2", **options)
    return valid(json.loads((folder / "nodules.json").read_text(encoding="utf-8")))


def valid(table: dict) -> dict:
    schema = json.loads((Path(lungline.__file__).parent / "schemas" / "nodules-2.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(table, schema)
    return table


def test_sizes_places_and_densities_are_those_that_were_drawn(folder) -> None:
    table = described(folder)
    assert [row["rank"] for row in table["nodules"]] == [1, 2, 3, 4]
    source = SourceGrid(SHAPE, geometry.make_affine(SPACING, ORIGIN))
    for row, (diameter_mm, centre, hu, laterality, zone) in zip(table["nodules"], BALLS, strict=True):
        assert row["long_axis_mm"] == pytest.approx(diameter_mm, abs=1.0)
        assert row["volume_mm3"] == pytest.approx(np.pi / 6 * diameter_mm**3, rel=0.05)
        np.testing.assert_allclose([row["x_mm"], row["y_mm"], row["z_mm"]], centre, atol=0.3)
        assert (row["laterality"], row["zone"]) == (laterality, zone)
        assert row["slice"] == 1 + round((centre[2] - ORIGIN[2]) / SPACING[0])
        index = geometry.world_to_voxel(np.array(table["grid"]["affine_zyx_to_lps_xyz_mm"]), centre)
        np.testing.assert_allclose([row["z"], row["y"], row["x"]], index, atol=0.3)
        assert row["attenuation"] == ("ground-glass" if hu == -600 else "solid")
        assert abs(row["mean_hu"] - hu) < 220  # the outermost voxels are mixed with lung
        assert row["nodule_probability"] == pytest.approx(0.9, abs=1e-3)
    assert table["source_grid"] == source.as_json()


def test_the_answer_stands_at_its_candidate_and_a_candidate_not_shown_has_none(folder) -> None:
    table = described(folder)
    assert [row["decided"] for row in table["nodules"]] == [False, False, True, False]
    assert [row["logit"] for row in table["nodules"]] == [*LOGITS, None]
    assert table["nodules"][2]["cancer_probability"] == pytest.approx(table["patient"]["cancer_probability"])
    assert table["nodules"][3]["cancer_probability"] is None
    assert table["status"] == "warned"
    assert table["flags"] == [{"flag": "W_TILT", "detail": "2 degrees"}, {"flag": "W_TRAINING_CASE", "detail": ""}]
    assert table["patient"]["interval"] is None
    assert "not calibrated" in table["patient"]["interval_reason"]


def test_the_interval_of_a_calibrated_answer_is_given_and_says_what_of(folder) -> None:
    (answer,) = (dict(row) | {"low": "0.25", "high": "0.75"} for row in read_answers(folder / "answers.csv").values())
    (folder / "calibrated.csv").write_text(table_text(ANSWER_COLUMNS, [list(answer.values())]))
    patient = described(folder, predictions=folder / "calibrated.csv")["patient"]
    assert patient["interval"] == [0.25, 0.75]
    assert "calibration" in patient["interval_reason"]


def test_findings_stand_apart_from_what_was_looked_at_as_well_and_both_tables_rank_by_one_score(folder) -> None:
    found = read_candidates(folder / "candidates" / "s.csv")
    least = found[1].score
    table = described(folder, min_finding_score=least, ranked_by="sum")
    assert [row["rank"] for row in table["nodules"]] == [1, 2]  # the score of a finding is reached, too
    assert [row["rank"] for row in table["also_looked_at"]] == [3, 4]
    assert {row["finding"] for row in table["nodules"]} == {True}
    assert {row["finding"] for row in table["also_looked_at"]} == {False}
    assert (table["min_finding_score"], table["ranked_by"]) == (least, "sum")
    rows = read_nodules(table)
    assert [row.score for row in rows] == pytest.approx([candidate.score for candidate in found])
    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)
    with open(folder / "nodules.csv", newline="", encoding="utf-8") as handle:
        assert [row["finding"] for row in csv.DictReader(handle)] == ["true", "true", "false", "false"]
    everything = described(folder)
    assert (everything["min_finding_score"], everything["also_looked_at"]) == (None, [])
    nothing = described(folder, min_finding_score=1e9)
    assert (nothing["nodules"], len(nothing["also_looked_at"])) == ([], 4)


def test_a_slice_has_the_scanners_number_its_place_in_mm_and_the_count_from_below(folder) -> None:
    source, numbered = hdf5.read_field(folder / "ingest" / "s.h5", "ct"), folder / "numbered.h5"
    numbers = Field(np.arange(SHAPE[0], 0, -1, dtype=np.int32), "z", "1", "counted from the head")
    hdf5.write_file(numbered, Header("ct_hu", "ingest"), {"ct": source, "instance_number": numbers})
    plain, table = described(folder), described(folder, ingested=numbered)
    assert table["source_grid"]["instance_numbers"] == list(range(SHAPE[0], 0, -1))
    assert plain["source_grid"]["instance_numbers"] is None
    assert {row["instance_number"] for row in plain["nodules"]} == {None}
    for row, (_, centre, *_) in zip(table["nodules"], BALLS, strict=True):
        assert row["instance_number"] == SHAPE[0] + 1 - row["slice"]
        assert row["slice_position_mm"] == pytest.approx(ORIGIN[2] + (row["slice"] - 1) * SPACING[0])
        assert abs(row["slice_position_mm"] - centre[2]) < SPACING[0] / 2 + 0.3


def test_the_place_of_a_slice_is_along_the_normal_of_an_oblique_scan() -> None:
    turn = Rotation.from_euler("xy", [20, -15], degrees=True).as_matrix()
    grid = SourceGrid((9, 8, 7), geometry.make_affine((2.0, 1.0, 1.0), (5.0, 6.0, 70.0), turn @ geometry.LPS_DIRECTION))
    normal = grid.affine[:3, 0] / 2.0
    for k in (0, 4, 8):
        corner = geometry.voxel_to_world(grid.affine, (k, 7, 6))
        assert grid.position_mm(k) == pytest.approx(corner @ normal)
        assert grid.slice_at(tuple(corner)) == k


def test_both_files_hold_the_same_rows(folder) -> None:
    table = described(folder)
    with open(folder / "nodules.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert tuple(rows[0]) == COLUMNS
    for words, row in zip(rows, table["nodules"], strict=True):
        assert words.pop("scan") == "s"
        for name, word in words.items():
            value = row[name]
            shown = "" if value is None else str(value).lower() if isinstance(value, bool) else value
            assert word == shown or float(word) == value
    assert [row.rank for row in read_nodules(table)] == [1, 2, 3, 4]


def test_the_density_is_that_of_the_scan_and_not_of_the_masked_cache(folder) -> None:
    ct = hdf5.read_volume(folder / "resample" / "s.h5", "ct")
    centre = (-3.0, -8.0, 560.0)  # between the lungs
    labels = inside(ct, centre, 10).astype(np.uint8)
    point = Candidate(1, 1.0, 1.0, 1.0, 1.0, 1, *geometry.world_to_voxel(ct.affine, centre), *centre, 10.0, 1)
    lungs = hdf5.read_volume(folder / "lungs" / "s.h5", "lungs")
    (row,) = describe_candidates(
        [point], measure_candidates(ct, labels, [1]), lungs, SourceGrid(ct.shape_zyx, ct.affine)
    )
    assert row.mean_hu == pytest.approx(30, abs=1)
    assert row.decided is None
    assert row.logit is None


def test_ranked_again_each_candidate_keeps_its_voxels_and_measurements(folder) -> None:
    before = {row["x_mm"]: row for row in described(folder)["nodules"]}
    found = read_candidates(folder / "candidates" / "s.csv")
    write_candidates(folder / "again" / "s.csv", "s", rank_again(found, [0.1, 0.4, 0.2, 0.3], 3))
    rows = described(folder, predictions=None, candidates=folder / "again" / "s.csv")["nodules"]
    assert [found.index(next(c for c in found if c.x_mm == row["x_mm"])) for row in rows] == [1, 3, 2]
    for row in rows:
        for name in ("volume_mm3", "long_axis_mm", "mean_hu", "sd_hu", "attenuation"):
            assert row[name] == before[row["x_mm"]][name]


def test_without_an_answer_a_detector_or_lungs_the_table_says_so(folder) -> None:
    table = described(folder, predictions=None)
    assert (table["patient"]["cancer_probability"], table["patient"]["interval_reason"]) == (
        None, "the patient has no score"
    )  # fmt: skip
    assert {row["decided"] for row in table["nodules"]} == {None}
    table = described(folder, labels=None, candidates=None)
    assert table["nodules"] is None
    assert table["grid"]["shape_zyx"] == list(hdf5.read_grid(folder / "resample" / "s.h5", "ct")[0])
    for name in ("resample", "lungs", "labels"):
        hdf5.write_file(folder / f"q-{name}.h5", Header("x", "ingest", (Flag("Q_LUNGS_EMPTY", "no air"),)), {})
    table = described(folder, volume=folder / "q-resample.h5", lungs=folder / "q-lungs.h5", predictions=None,
        labels=folder / "q-labels.h5")  # fmt: skip
    assert (table["status"], table["nodules"], table["grid"]) == ("quarantined", None, None)
    assert table["flags"] == [{"flag": "Q_LUNGS_EMPTY", "detail": "no air"}]


def test_a_table_of_another_layout_and_a_label_map_of_another_table_are_refused(folder) -> None:
    with pytest.raises(LunglineError, match="expected a table of layout nodules/2"):
        read_nodules({"schema": "nodules/9", "nodules": []})
    found = read_candidates(folder / "candidates" / "s.csv")
    write_candidates(folder / "other.csv", "s", [replace(found[0], label=99)])
    with pytest.raises(LunglineError, match=r"no voxel of the label map has the label 99"):
        described(folder, candidates=folder / "other.csv")
    with pytest.raises(LunglineError, match=r"ends in \.json"):
        describe_nodules.run(folder / "nodules.txt", scan="s", ingested=folder, volume=folder, lungs=folder)


def test_a_part_of_a_volume_is_found_by_its_place_and_must_lie_voxel_on_voxel() -> None:
    rng = np.random.default_rng(0)
    whole = Volume(rng.normal(size=(7, 8, 9)), geometry.make_affine((1.5, 1.0, 0.5), (3, -2, 8)))
    some = whole.crop((slice(2, 5), slice(0, 8), slice(4, 9)))
    np.testing.assert_array_equal(whole.part(some.shape_zyx, some.affine).array, some.array)
    for shape, first in (((3, 8, 6), (2, 0, 4)), ((3, 8, 5), (2.5, 0, 4)), ((3, 8, 5), (-1, 0, 4))):
        with pytest.raises(GeometryError, match="voxel on voxel"):
            whole.part(shape, geometry.shift_origin(whole.affine, first))


def test_a_point_beside_the_lungs_belongs_to_the_nearer_one_and_one_lung_is_where_it_lies() -> None:
    array = np.zeros((30, 20, 60), bool)
    array[3:27, 5:15, 5:25] = array[6:24, 5:15, 35:55] = True
    lungs = Volume(array, geometry.make_affine((1, 1, 1)))
    points = [(2, 0, -5), (26, 10, 14), (58, 10, 40), (33, 10, 9), (45, 10, 15)]
    places = [("right", "lower"), ("right", "middle"), ("left", "upper"), ("left", "lower"), ("left", "middle")]
    assert places_in_lungs(lungs, points) == places
    array[:, :, :30] = False
    assert places_in_lungs(lungs, points[1:3]) == [("left", "middle"), ("left", "upper")]
