"""The manifest: what may stand in a row."""

from __future__ import annotations

import os

import pytest

from lungline.errors import LunglineError
from lungline.storage.scan_rows import COLUMNS, ScanRow, read_manifest, write_manifest

ROWS = [
    ScanRow("1.2.3", "mhd", "luna16", "train", 0, None),
    ScanRow("0a1b", "dicom", "dsb17", "test", None, 1),
    ScanRow("NA", "dicom", "dsb17", "valid", None, 0),
    ScanRow("scan-00ff", "nifti", "folder", "test"),
]


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    write_manifest(tmp_path / "manifest.csv", reversed(ROWS))
    assert read_manifest(tmp_path / "manifest.csv") == ROWS


def test_masks_by_others_are_columns_that_a_manifest_may_leave_out(tmp_path):
    path, rows = tmp_path / "manifest.csv", [ROWS[0], ScanRow("scan-00ff", "nifti", "folder", "test", lobes="a/b.nrrd")]
    write_manifest(path, rows)
    assert path.read_text().splitlines()[0] == ",".join([*COLUMNS, "lobes"])
    assert read_manifest(path) == rows
    write_manifest(path, ROWS)
    assert path.read_text().splitlines()[0] == ",".join(COLUMNS)


def test_a_manifest_that_says_the_same_is_not_touched(tmp_path):
    path = tmp_path / "manifest.csv"
    write_manifest(path, ROWS)
    os.utime(path, (1, 1))
    write_manifest(path, ROWS)
    assert path.stat().st_mtime == 1
    write_manifest(path, ROWS[:2])
    assert path.stat().st_mtime > 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("../x,dicom,dsb17,train,,1", "scan id"),
        ("..,dicom,dsb17,train,,1", "scan id"),
        ("a b,dicom,dsb17,train,,1", "scan id"),
        (",dicom,dsb17,train,,1", "scan id"),
        ("a,png,dsb17,train,,1", "source must be one of dicom, mhd, nifti"),
        ("a,dicom,other,train,,1", "dataset"),
        ("a,dicom,dsb17,training,,1", "split"),
        ("a,dicom,dsb17,train,10,1", "fold"),
        ("a,dicom,dsb17,train,,2", "label"),
        ("a,dicom,dsb17,train,,NA", "label"),
        ("x,dicom,dsb17,train,,1", "twice"),
        ("a,dicom,dsb17,train,1", "expected 6 columns"),
    ],
)
def test_a_row_that_is_wrong_is_refused_with_its_line(tmp_path, line, says):
    path = tmp_path / "manifest.csv"
    path.write_text(f"{','.join(COLUMNS)}\nx,dicom,dsb17,train,,1\n{line}\n")
    with pytest.raises(LunglineError, match=f"manifest.csv, line 3: .*{says}"):
        read_manifest(path)


def test_all_rows_that_are_wrong_stand_in_one_report(tmp_path):
    path = tmp_path / "manifest.csv"
    rows = ["x,dicom,dsb17,train,,1", "../y,dicom,dsb17,train,,1", "z,dicom", "x,dicom,dsb17,test,,0"]
    path.write_text("\n".join([",".join(COLUMNS), *rows]))
    with pytest.raises(LunglineError, match=r"(?s)3 faults\..*line 3: .*scan id.*line 4: .*columns.*line 5: .*twice"):
        read_manifest(path)
