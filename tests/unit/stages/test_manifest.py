"""Listing scans: LUNA16, DSB17 and plain folders, and what stays private."""

from __future__ import annotations

import os
import stat

import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.runner.locks import LISTING, hold
from lungline.splits import split_of_patient
from lungline.stages import manifest
from lungline.storage.scan_rows import read_manifest
from lungline.storage.tables import read_notes
from scans import chest, write_dicom, write_mhd

HU = chest((3, 6, 7))


@pytest.fixture
def luna(tmp_path):
    folder = tmp_path / "luna"
    for fold in (0, 8, 9):
        write_mhd(folder / f"subset{fold}" / f"1.2.{fold}.mhd", HU)
    return folder


@pytest.fixture
def dsb(tmp_path):
    folder = tmp_path / "dsb"
    for name in ("p1", "p2", "007", "t1", "u1"):
        write_dicom(folder / "stage1" / name, HU)
    (folder / "stage1" / "p3").mkdir()  # a patient whose files are lost is still a patient
    (folder / "stage1_labels.csv").write_text("id,cancer\np1,1\np2,0\n007,1\np3,0\ngone,1\n")
    (folder / "stage1_solution.csv").write_text("id,cancer,Usage\nt1,1,Private\n")
    return folder


def listed(out):
    return {row.scan: row for row in read_manifest(out / "manifest.csv")}


def test_luna_subsets_become_folds_and_splits(luna, tmp_path):
    manifest.run("luna16", luna, tmp_path / "out")
    rows = listed(tmp_path / "out")
    assert {s: (r.fold, r.split, r.label, r.source) for s, r in rows.items()} == {
        "1.2.0": (0, "train", None, "mhd"),
        "1.2.8": (8, "valid", None, "mhd"),
        "1.2.9": (9, "test", None, "mhd"),
    }
    assert os.readlink(tmp_path / "out/private/raw/1.2.8") == str(luna / "subset8" / "1.2.8.mhd")


def test_scans_that_are_not_asked_for_are_passed_over_and_go_if_they_were_there(luna, tmp_path):
    manifest.run("luna16", luna, tmp_path / "out")
    manifest.run("luna16", luna, tmp_path / "out", only=("1.2.0", "1.2.9"))
    assert set(listed(tmp_path / "out")) == {"1.2.0", "1.2.9"}


def test_dsb_patients_are_split_by_hash_and_those_of_the_solution_are_the_test(dsb, tmp_path):
    manifest.run("dsb17", dsb, tmp_path / "out")
    rows = listed(tmp_path / "out")
    assert {s: (r.split, r.label) for s, r in rows.items()} == {
        "p1": (split_of_patient("p1"), 1),
        "p2": (split_of_patient("p2"), 0),
        "p3": (split_of_patient("p3"), 0),
        "007": (split_of_patient("007"), 1),
        "t1": ("test", 1),
        "u1": ("test", None),
    }


def test_dsb_patients_may_lie_directly_in_the_folder(dsb, tmp_path):
    (dsb / "stage1" / "p1").rename(dsb / "p1")
    for left in (dsb / "stage1").iterdir():
        left.rename(dsb / left.name)
    (dsb / "stage1").rmdir()
    (dsb / "notes").mkdir()
    manifest.run("dsb17", dsb, tmp_path / "out")
    assert set(listed(tmp_path / "out")) == {"p1", "p2", "p3", "007", "t1", "u1"}


@pytest.fixture
def plain(tmp_path):
    folder = tmp_path / "plain"
    write_dicom(folder / "Doe, Jane" / "series 1", HU)
    write_mhd(folder / "Doe_John.mhd", HU)
    (folder / "x.nii.gz").write_bytes(b"")
    (folder / ".hidden.nii").write_bytes(b"")
    (folder / "notes").mkdir()
    (folder / "notes" / "read.me").write_text("nothing")
    return folder


def test_a_link_in_a_circle_hides_no_scan(plain, tmp_path):
    for folder in (plain, plain / "Doe, Jane" / "series 1", plain / "notes"):
        (folder / "circle.dcm").symlink_to(folder / "circle.dcm")
    manifest.run("folder", plain, tmp_path / "out")
    assert sorted(row.source for row in listed(tmp_path / "out").values()) == ["dicom", "mhd", "nifti"]


def test_one_file_is_a_folder_of_one_scan(plain, tmp_path):
    manifest.run("folder", plain / "Doe_John.mhd", tmp_path / "out")
    assert [row.source for row in listed(tmp_path / "out").values()] == ["mhd"]


def test_scans_of_a_plain_folder_get_pseudonyms_that_stay(plain, tmp_path):
    out = tmp_path / "out"
    manifest.run("folder", plain, out)
    first = listed(out)
    assert sorted(row.source for row in first.values()) == ["dicom", "mhd", "nifti"]
    assert {(row.split, row.label) for row in first.values()} == {("test", None)}
    assert "Doe" not in (out / "manifest.csv").read_text()
    assert not any("Doe" in name for name in os.listdir(out / "private" / "raw"))
    manifest.run("folder", plain, out)
    assert listed(out) == first
    manifest.run("folder", plain, tmp_path / "other")
    assert not set(listed(tmp_path / "other")) & set(first)


def test_what_identifies_is_readable_by_its_owner_alone(plain, luna, tmp_path):
    manifest.run("folder", plain, tmp_path / "out")
    manifest.run("luna16", luna, tmp_path / "out2")
    private = tmp_path / "out" / "private"
    for path in (private / "map.csv", private / "key", tmp_path / "out2" / "private" / "map.csv"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "Doe, Jane/series 1" in (private / "map.csv").read_text()


def test_a_folder_that_holds_dicom_files_itself_is_one_scan(tmp_path):
    write_dicom(tmp_path / "one", HU)
    manifest.run("folder", tmp_path / "one", tmp_path / "out")
    assert len(listed(tmp_path / "out")) == 1


def test_labels_of_a_plain_folder_are_found_by_name(plain, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("id;cancer\nDoe_John;1\nDoe, Jane/series 1;0\n")
    manifest.run("folder", plain, tmp_path / "out", labels=labels)
    assert sorted(str(row.label) for row in listed(tmp_path / "out").values()) == ["0", "1", "None"]


def test_another_folder_adds_and_the_same_folder_brings_up_to_date(luna, dsb, tmp_path):
    out = tmp_path / "out"
    manifest.run("luna16", luna, out)
    manifest.run("dsb17", dsb, out)
    assert len(listed(out)) == 9
    (luna / "subset0" / "1.2.0.mhd").rename(luna / "subset0" / "1.2.77.mhd")
    manifest.run("luna16", luna, out)
    assert set(listed(out)) == {"1.2.77", "1.2.8", "1.2.9", "p1", "p2", "p3", "007", "t1", "u1"}
    assert not (out / "private" / "raw" / "1.2.0").is_symlink()
    before = (out / "manifest.csv").stat().st_mtime_ns
    manifest.run("luna16", luna, out)
    assert (out / "manifest.csv").stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ("id,cancer\np1,1\np1,0\n", "line 3: the id of line 2 with another label"),
        ("id,cancer\np1,yes\n", "line 2: expected an id and cancer"),
        ("id,cancer\np1,\n", "line 2: expected an id and cancer"),
        ("id,cancer\np1,3\n", "line 2: expected an id and cancer"),
        ("name,cancer\np1,1\n", "line 1: expected the columns id, cancer"),
        ("id,cancer\nt1,1\n", "solution.csv, line 2: this patient stands in stage1_labels.csv, line 2"),
    ],
)
def test_labels_that_are_wrong_stop_with_their_line(dsb, tmp_path, table, says):
    (dsb / "stage1_labels.csv").write_text(table)
    with pytest.raises(LunglineError, match=says):
        manifest.run("dsb17", dsb, tmp_path / "out")


def warnings(out):
    """Of the tables of labels; the id 007 stands in one more note, on the manifest."""
    notes = read_notes(out / "input_warnings.csv")
    return [(note.file, note.line, note.flag) for note in notes if note.flag != "T_ID_CHANGES"]


def test_rows_without_a_scan_and_scans_without_a_row_are_written_down(dsb, tmp_path, capsys):
    (dsb / "stage1_labels.csv").write_text("id,cancer\np1,1\np2,0\n007,1\np1,1\np3,0\nMissing,1\n")
    manifest.run("dsb17", dsb, tmp_path / "out")
    assert warnings(tmp_path / "out") == [
        ("stage1_labels.csv", 5, "T_ROW_TWICE"),
        ("stage1_labels.csv", 7, "T_UNKNOWN_SCAN"),
        ("stage1_solution.csv", None, "T_NO_LABEL"),
    ]
    said = capsys.readouterr().err
    assert "stage1_labels.csv, line 7: T_UNKNOWN_SCAN" in said
    assert "Missing" not in said + (tmp_path / "out" / "input_warnings.csv").read_text()


def test_without_a_solution_the_test_patients_are_no_warning(dsb, tmp_path):
    (dsb / "stage1_solution.csv").unlink()
    manifest.run("dsb17", dsb, tmp_path / "out")
    assert warnings(tmp_path / "out") == [("stage1_labels.csv", 6, "T_UNKNOWN_SCAN")]


def test_warnings_of_a_table_replace_those_of_before_and_leave_the_others(dsb, plain, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("id,cancer\nDoe_John,1\nnobody,0\n")
    manifest.run("folder", plain, tmp_path / "out", labels=labels)
    manifest.run("dsb17", dsb, tmp_path / "out")
    labels.write_text('id,cancer\nDoe_John,1\nnobody,0\nx,0\n"Doe, Jane/series 1",0\n')
    manifest.run("folder", plain, tmp_path / "out", labels=labels)
    assert [row for row in warnings(tmp_path / "out") if row[0] == "labels.csv"] == [
        ("labels.csv", 3, "T_UNKNOWN_SCAN")
    ]
    assert ("stage1_labels.csv", 6, "T_UNKNOWN_SCAN") in warnings(tmp_path / "out")
    assert "Doe" not in (tmp_path / "out" / "input_warnings.csv").read_text()


def test_more_than_twenty_warnings_are_counted_on_the_screen_and_all_in_the_file(dsb, tmp_path, capsys):
    rows = "".join(f"gone{k},1\n" for k in range(50))
    (dsb / "stage1_labels.csv").write_text(f"id,cancer\np1,1\np2,0\n007,1\np3,0\n{rows}")
    manifest.run("dsb17", dsb, tmp_path / "out")
    said = capsys.readouterr().err
    assert said.count("T_UNKNOWN_SCAN") == 20
    assert "and 32 more" in said
    assert len(warnings(tmp_path / "out")) == 51


def test_an_id_that_means_two_scans_or_two_labels_of_one_scan_are_refused(tmp_path):
    for place in ("a", "b"):
        write_mhd(tmp_path / "in" / place / "ct.mhd", HU)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,cancer\nct,1\n")
    with pytest.raises(LunglineError, match="line 2: this id means several scans"):
        manifest.run("folder", tmp_path / "in", tmp_path / "out", labels=labels)
    labels.write_text("id,cancer\na/ct.mhd,1\nb/ct.mhd,0\nct,0\n")
    with pytest.raises(LunglineError, match="line 4: another label than line 2"):
        manifest.run("folder", tmp_path / "in", tmp_path / "out", labels=labels)


def test_an_id_that_cannot_be_a_file_name_is_refused(luna, tmp_path):
    write_mhd(luna / "subset0" / "a b.mhd", HU)
    with pytest.raises(LunglineError, match="plain folder: they get pseudonyms"):
        manifest.run("luna16", luna, tmp_path / "out")


def test_a_scan_that_stands_there_twice_is_refused(luna, dsb, tmp_path):
    write_mhd(luna / "subset3" / "1.2.8.mhd", HU)
    with pytest.raises(LunglineError, match="1 scans stand there under an id of another"):
        manifest.run("luna16", luna, tmp_path / "out")
    (luna / "subset3" / "1.2.8.mhd").unlink()
    manifest.run("dsb17", dsb, tmp_path / "out")
    write_mhd(luna / "subset3" / "p1.mhd", HU)
    with pytest.raises(LunglineError, match="as scans of another data set"):
        manifest.run("luna16", luna, tmp_path / "out")


@pytest.mark.parametrize("kind", ["luna16", "dsb17", "folder"])
def test_a_folder_without_scans_is_one_line_and_exit_code_2(tmp_path, capsys, kind):
    (tmp_path / "empty").mkdir()
    assert main(["manifest", kind, str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert main(["manifest", kind, str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "expected" in lines[0]


def test_labels_go_with_a_plain_folder_only(luna, tmp_path):
    with pytest.raises(LunglineError, match="--labels"):
        manifest.run("luna16", luna, tmp_path / "out", labels=tmp_path / "x.csv")


def test_a_name_that_is_no_id_is_placed_and_not_quoted(luna, dsb, tmp_path):
    write_mhd(luna / "subset0" / "Doe Jane.mhd", HU)
    write_dicom(dsb / "stage1" / "Doe Jane", HU)
    for kind, folder, place in (("luna16", luna, "subset0, .mhd file 2"), ("dsb17", dsb, "patient 2")):
        with pytest.raises(LunglineError, match=f"{place} in order of names: a scan id holds") as error:
            manifest.run(kind, folder, tmp_path / "out")
        assert "Doe" not in str(error.value)


def test_a_folder_that_cannot_be_read_is_a_scan_that_says_so(plain, tmp_path, monkeypatch):
    scandir = os.scandir

    def denied(path):
        if "Doe" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)
    manifest.run("folder", plain, tmp_path / "out")
    rows = read_manifest(tmp_path / "out/manifest.csv")
    assert sorted(row.source for row in rows) == ["dicom", "mhd", "nifti"]


def test_the_folder_itself_that_cannot_be_read_is_one_line(plain, tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(LunglineError, match="something in it cannot be read \\(Permission denied\\)"):
        manifest.run("folder", plain, tmp_path / "out")


def test_two_lists_are_not_written_at_once(plain, tmp_path):
    with hold(tmp_path / "out", LISTING), pytest.raises(LunglineError, match="another run is at work here"):
        manifest.run("folder", plain, tmp_path / "out")


@pytest.mark.parametrize(
    "table", ["Doe,1\n", "id,cancer\nDoe,Doe\n", "id,cancer\nDoe,1\nDoe,0\n", "id,cancer\nDoe\n", 'id,cancer\n"Doe']
)
def test_a_table_of_labels_is_not_quoted(plain, tmp_path, table):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(LunglineError, match=r"labels.csv, line \d") as error:
        manifest.run("folder", plain, tmp_path / "out", labels=tmp_path / "labels.csv")
    assert "Doe" not in str(error.value)
