"""`lungline check luna16`: a copy in the data set's layout, sound and with every fault planted."""

from __future__ import annotations

import csv
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.evaluation.luna16_copy import (
    LUNA16,
    Facts,
    annotation_lines,
    check_copy,
    read_candidate_places,
    sha256_of_lines,
)
from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from lungline.nodules.annotations import Nodule
from lungline.readers.scan import read_scan
from lungline.stages import check
from lungline.synthetic import writers
from tests.scans import write_mhd

A, B, C = UIDS = ("1.2.11", "1.2.22", "1.2.33")
SHAPE = (6, 8, 8)  # whole slices are quadratic in LUNA-16; the spacing is not the same along all axes
ORIGIN = (-31.0, -42.0, 13.0)  # with which the grid is to the right of and before the middle of the scanner
FLIPPED_BY = {"TransformMatrix": "-1 0 0 0 -1 0 0 0 1", "Offset": "-19.1 -27.3 13"}  # its last row and column
PLACES = {A: (-30.0, -41.0, 14.0), B: (-21.0, -29.0, 20.0), C: (-25.0, -35.0, 25.0)}
HEADER = "seriesuid,coordX,coordY,coordZ,"


def hu_of(uid: str) -> np.ndarray:
    return np.random.default_rng(int(uid[-2:])).integers(-1000, 400, SHAPE).astype(np.int16)


@pytest.fixture
def copy(tmp_path) -> Path:
    """Three scans in two subsets, the second one flipped, each with one nodule and three candidates."""
    folder = tmp_path / "LUNA16"
    write_mhd(folder / "subset0" / f"{A}.mhd", hu_of(A))
    write_mhd(folder / "subset0" / f"{B}.mhd", hu_of(B)[:, ::-1, ::-1].copy(), **FLIPPED_BY)
    write_mhd(folder / "subset1" / f"{C}.mhd", hu_of(C))
    rows = {uid: f"{uid},{x},{y},{z}" for uid, (x, y, z) in PLACES.items()}
    (folder / "annotations.csv").write_text(HEADER + "diameter_mm\n" + "".join(f"{rows[uid]},5\n" for uid in UIDS))
    candidates = "".join(f"{rows[uid]},{kind}\n" for uid in UIDS for kind in (1, 0, 0))
    (folder / "CSVFILES").mkdir()
    (folder / "CSVFILES/candidates_V2.csv").write_text(HEADER + "class\n" + candidates)
    return folder


FACTS = Facts(
    scans_per_subset=(2, 1),
    uids_sha256=sha256_of_lines(sorted(UIDS)),
    nodules=3,
    scans_with_nodules=3,
    annotations_sha256=sha256_of_lines(annotation_lines([Nodule(u, p, 5.0) for u, p in PLACES.items()], C)),
    not_hashed=C,
    candidates=9,
    candidate_nodules=3,
    uid_prefix="1.2.",
    rows=8,
)


def faults(folder: Path, **other) -> list[str]:
    return check_copy(folder, replace(FACTS, **other)).faults


def change(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_a_sound_copy_has_no_fault_and_its_flipped_header_is_named_as_read_right(copy) -> None:
    report = check_copy(copy, FACTS)
    assert report.faults == []
    assert report.notes == [
        f"subset0/{B}: flipped header, read right: 100% of 4 findings lie in its grid, 0% would without the matrix."
    ]
    assert set(report.scans) == report.readable == set(UIDS)


def test_the_flipped_scan_is_read_as_its_unflipped_twin(copy, tmp_path) -> None:
    """What `check` says of the header holds for the voxels: the writer of the synthetic cohort flips, too."""
    volume = Volume(hu_of(B), make_affine((2.5, 2.1, 1.7), origin_xyz_mm=ORIGIN))
    read = read_scan(copy / f"subset0/{B}.mhd", "mhd")[0]
    np.testing.assert_array_equal(read.array, volume.array)
    np.testing.assert_allclose(read.affine, volume.affine, atol=1e-9)
    writers.write_mhd(tmp_path / "twin.mhd", volume, flipped=True)
    np.testing.assert_array_equal(read_scan(tmp_path / "twin.mhd", "mhd")[0].array, read.array)


def damage_missing_subset(copy):
    shutil.rmtree(copy / "subset1")


def damage_missing_scan(copy):
    (copy / f"subset0/{A}.mhd").unlink()
    (copy / f"subset0/{A}.raw").unlink()


def damage_missing_raw(copy):
    (copy / f"subset0/{A}.raw").unlink()


def damage_missing_header(copy):
    (copy / f"subset0/{A}.mhd").unlink()


def damage_cut_raw(copy):
    with open(copy / f"subset0/{A}.raw", "r+b") as handle:
        handle.truncate(100)


def damage_header(copy):
    (copy / f"subset0/{A}.mhd").write_bytes(b"\0" * 40)


def damage_header_is_a_folder(copy):
    (copy / f"subset0/{A}.mhd").unlink()
    (copy / f"subset0/{A}.mhd").mkdir()


def damage_list(copy):
    damage_missing_scan(copy)
    (copy / "seriesuids.csv").write_text(f"{A}\n{A}\n")


def damage_other_raw(copy):
    change(copy / f"subset0/{A}.mhd", f"{A}.raw", f"{B}.raw")


def damage_spacing(copy):
    change(copy / f"subset0/{A}.mhd", "1.7 2.1 2.5", "1.7 2.1 2.6")


def damage_size(copy):
    change(copy / f"subset0/{A}.mhd", "DimSize = 8 8 6", "DimSize = 4 16 6")


def damage_moved_scan(copy):
    for path in list((copy / "subset0").glob(f"{A}.*")):
        path.rename(copy / "subset1" / path.name)


def damage_copied_scan(copy):
    for path in list((copy / "subset0").glob(f"{A}.*")):
        shutil.copy(path, copy / "subset1" / path.name)


def damage_stranger(copy):
    write_mhd(copy / "subset1/1.2.44.mhd", hu_of(A))


def damage_extra_file(copy):
    (copy / f"subset0/{A}.raw.part").touch()


def damage_too_deep(copy):
    (copy / "subset1").rename(copy / "deep")
    (copy / "subset1").mkdir()
    (copy / "deep").rename(copy / "subset1/subset1")


def damage_stray(copy):
    (copy / f"{A}.raw").touch()


def damage_lost_matrix(copy):
    change(copy / f"subset0/{B}.mhd", "-1 0 0 0 -1 0 0 0 1", "1 0 0 0 1 0 0 0 1")


def damage_added_matrix(copy):
    change(copy / f"subset0/{A}.mhd", "= 1 0 0 0 1 0 0 0 1", "= -1 0 0 0 -1 0 0 0 1")


def damage_annotation_outside(copy):
    change(copy / "annotations.csv", "25.0,5", "99.0,5")


def damage_annotation_moved(copy):
    change(copy / "annotations.csv", "14.0,5", "15.0,5")


def damage_annotation_missing(copy):
    change(copy / "annotations.csv", f"{C},-25.0,-35.0,25.0,5\n", "")


def damage_annotations_damaged(copy):
    change(copy / "annotations.csv", "14.0,5", "x,5")


def damage_annotations_gone(copy):
    (copy / "annotations.csv").unlink()


def damage_candidates_gone(copy):
    (copy / "CSVFILES/candidates_V2.csv").rename(copy / "CSVFILES/candidates.csv")


def damage_candidates_short(copy):
    change(copy / "CSVFILES/candidates_V2.csv", f"{C},-25.0,-35.0,25.0,0\n", "", 1)


def damage_candidates_damaged(copy):
    change(copy / "CSVFILES/candidates_V2.csv", "25.0,1", "25.0,2")


def damage_candidates_header(copy):
    change(copy / "CSVFILES/candidates_V2.csv", "class", "label")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_missing_subset, ["subset1: no such folder", f"{C}: no subset holds this scan"]),
        (damage_missing_scan, ["subset0: expected 2 scans. Found 1", f"{A}: no subset holds this scan"]),
        (damage_missing_raw, [f"subset0/{A}.mhd: the pixel file named in the header is not a file"]),
        (damage_missing_header, [f"subset0/{A}.raw: pixels without their header"]),
        (damage_cut_raw, [f"subset0/{A}.mhd: the pixel file holds 100 bytes; the header announces 768"]),
        (damage_header, [f"subset0/{A}.mhd: line 1 of the header holds no key"]),
        (damage_header_is_a_folder, [f"subset0/{A}.mhd: cannot be read (Is a directory)"]),
        (damage_list, ["seriesuids.csv, line 2: this scan stands there twice", f"{A}: no subset holds this scan"]),
        (damage_other_raw, [f"subset0/{A}.mhd: ElementDataFile is not the file of this scan"]),
        (damage_spacing, [f"subset0/{A}.mhd: expected slices at most 2.5 mm apart. Found 2.6"]),
        (damage_size, [f"subset0/{A}.mhd: expected slices of 8 x 8 of MET_SHORT. Found 4 x 16"]),
        (damage_moved_scan, ["subset0: expected 2 scans. Found 1", "subset1: expected 1 scans. Found 2"]),
        (damage_copied_scan, [f"subset1/{A}: this scan lies in subset0, too"]),
        (damage_stranger, ["subset1: expected 1 scans. Found 2", "subset1/1.2.44: is none of the data set's scans"]),
        (damage_extra_file, [f"subset0/{A}.raw.part: does not belong to the data set"]),
        (damage_too_deep, ["subset1/subset1: lies one folder too deep"]),
        (damage_stray, [f"{A}.raw: lies outside the subsets"]),
        (damage_lost_matrix, [f"subset0/{B}: 0% of 4 findings lie in its grid; 100% would with TransformMatrix -1"]),
        (damage_added_matrix, [f"subset0/{A}: 0% of 4 findings lie in its grid; 100% would without the Transform"]),
        (damage_annotation_outside, [f"annotations.csv, line 4: lies outside the grid of subset1/{C}"]),
        (damage_annotation_moved, ["annotations.csv: places or diameters are not the challenge's"]),
        (damage_annotation_missing, ["annotations.csv: expected 3 nodules in 3 scans. Found 2 in 2"]),
        (damage_annotations_damaged, ["annotations.csv, line 2: coordZ"]),
        (damage_annotations_gone, ["annotations.csv: no such file"]),
        (damage_candidates_gone, ["candidates_V2.csv: no such file. candidates.csv is the first list"]),
        (damage_candidates_short, ["candidates_V2.csv: expected 9 candidates, 3 of class 1. Found 8, 3"]),
        (damage_candidates_damaged, ["candidates_V2.csv, line 8: expected seriesuid"]),
        (damage_candidates_header, ["candidates_V2.csv, line 1: expected seriesuid,coordX,coordY,coordZ,class"]),
    ],
    ids=lambda value: value.__name__.removeprefix("damage_") if callable(value) else "",
)
def test_every_fault_is_named(copy, damage, said) -> None:
    damage(copy)
    found = faults(copy)
    for words in said:
        assert sum(words in line for line in found) == 1, found
    assert all("\n" not in line for line in found)


def test_a_list_of_scans_in_the_folder_names_what_the_tables_do_not(copy) -> None:
    (copy / "CSVFILES/seriesuids.csv").write_text("\n".join((*UIDS, "1.2.55")) + "\n")
    found = faults(copy, uids_sha256=sha256_of_lines(sorted((*UIDS, "1.2.55"))))
    assert "1.2.55: no subset holds this scan." in found


def test_a_flipped_header_without_findings_is_said_to_be_untold(copy) -> None:
    for table in (copy / "annotations.csv", copy / "CSVFILES/candidates_V2.csv"):
        table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.startswith(B)))
    assert check_copy(copy, FACTS).notes == [
        f"subset0/{B}: flipped header; no table has a finding that shows whether it is right."
    ]


def test_findings_that_fit_both_ways_are_said_to_prove_nothing(copy) -> None:
    """The grid lies about the middle of the scanner, as most do, and a finding near it fits with any sign."""
    change(copy / f"subset0/{B}.mhd", "-19.1 -27.3 13", "5.95 7.35 13")
    for table in (copy / "annotations.csv", copy / "CSVFILES/candidates_V2.csv"):
        change(table, f"{B},-21.0,-29.0", f"{B},5.5,7.0")
    (note,) = check_copy(copy, FACTS).notes
    assert note == f"subset0/{B}: flipped header; its 4 findings fit it, but would without the matrix, too."


def test_pixels_are_read_once_and_a_changed_file_is_named(copy, tmp_path, monkeypatch) -> None:
    table, read = tmp_path / "pixels.csv", []
    monkeypatch.setattr(check, "read_scan", lambda path, source: read.append(path.stem) or read_scan(path, source))
    assert check.report_on(copy, FACTS, table).faults == []
    assert read == sorted(UIDS)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["seriesuid"] for row in rows] == sorted(UIDS)
    assert check.report_on(copy, FACTS, table).faults == []
    assert read == sorted(UIDS)
    raw = copy / f"subset1/{C}.raw"
    raw.write_bytes(raw.read_bytes()[::-1])
    os.utime(raw, ns=(1, 1))
    (line,) = check.report_on(copy, FACTS, table).faults
    assert line.startswith(f"subset1/{C}: its bytes are no longer those in pixels.csv")
    assert read == [*sorted(UIDS), C]


def test_an_interrupted_reading_goes_on_where_it_stopped(copy, tmp_path, monkeypatch) -> None:
    table, read = tmp_path / "pixels.csv", []

    def stop_at_the_second(path, source):
        if len(read) == 1:
            raise KeyboardInterrupt
        read.append(path.stem)
        return read_scan(path, source)

    monkeypatch.setattr(check, "read_scan", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        check.report_on(copy, FACTS, table)
    monkeypatch.setattr(check, "read_scan", lambda path, source: read.append(path.stem) or read_scan(path, source))
    assert check.report_on(copy, FACTS, table).faults == []
    assert read == sorted(UIDS)


def test_damaged_pixels_and_two_scans_with_the_same_are_named(copy, tmp_path) -> None:
    shutil.copy(copy / f"subset0/{A}.raw", copy / f"subset1/{C}.raw")
    writers.write_mhd(copy / f"subset0/{B}.mhd", Volume(hu_of(B), make_affine((2.5, 2.1, 1.7), origin_xyz_mm=ORIGIN)))
    (copy / f"subset0/{B}.raw").unlink()
    packed = bytearray((copy / f"subset0/{B}.zraw").read_bytes())
    packed[len(packed) // 2] ^= 255
    (copy / f"subset0/{B}.zraw").write_bytes(packed)
    found = check.report_on(copy, FACTS, tmp_path / "pixels.csv").faults
    assert [line.split(": ")[1][:21] for line in found] == ["its pixels cannot be ", f"the same HU as {A}"]


def test_the_command_ends_with_1_and_prints_a_line_a_fault(copy, capsys) -> None:
    assert main(["check", "luna16", str(copy)]) == 1
    said = capsys.readouterr().out.splitlines()
    assert "subset9: no such folder. Unpack subset9.zip into LUNA16." in said
    assert said[-1].startswith(f"{copy}: ")


def test_the_command_ends_with_0_where_all_is_right(copy, capsys, monkeypatch) -> None:
    monkeypatch.setattr(check, "LUNA16", FACTS)
    assert main(["check", "luna16", str(copy)]) == 0
    assert capsys.readouterr().out.endswith("3 scans, 1 with a flipped header; 0 faults: LUNA-16, as it should be\n")


def test_a_folder_that_is_not_there_is_one_line(tmp_path) -> None:
    with pytest.raises(LunglineError, match="no such folder"):
        check.run("luna16", tmp_path / "none")


@pytest.mark.data
def test_what_is_known_of_luna16_fits_its_tables(sample_data) -> None:
    """The tables here lack one scan and its one nodule."""
    from lungline.nodules.annotations import read_annotations
    from lungline.storage.submissions import read_ids

    tables = sample_data / "luna16-tables"
    uids, nodules = read_ids(tables / "seriesuids.csv"), read_annotations(tables / "annotations.csv")
    assert LUNA16.not_hashed not in uids
    assert sha256_of_lines(sorted([*uids, LUNA16.not_hashed])) == LUNA16.uids_sha256
    assert sha256_of_lines(annotation_lines(nodules, LUNA16.not_hashed)) == LUNA16.annotations_sha256
    assert LUNA16.scans == len(uids) + 1 == 888
    assert LUNA16.nodules == len(nodules) + 1
    assert LUNA16.scans_with_nodules == len({nodule.scan for nodule in nodules}) + 1


def test_candidates_are_gathered_by_scan(copy) -> None:
    places, nodules = read_candidate_places(copy / "CSVFILES/candidates_V2.csv")
    assert nodules == 3
    np.testing.assert_array_equal(places[B], [PLACES[B]] * 3)
