"""`lungline write-dicom`: for the owner alone, and one line where it cannot be."""

import os
import shutil
import stat
from pathlib import Path

import pydicom
import pytest

from dicom_series import STUDY, write_series
from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.nodules.table import COLUMNS
from lungline.readers.scan import hash_of_files, raw_files
from lungline.stages import write_dicom
from lungline.storage.results import write_result
from scans import chest
from scans import write_dicom as write_bare


def table(path, **change):
    patient = {
        "cancer_probability": 0.25,
        "malignancy_score": None,
        "logit": None,
        "interval": None,
        "interval_reason": "",
        "n_candidates": 0,
    }
    content = {
        "schema": "nodules/2",
        "scan": "s",
        "classifier": "m2",
        "status": "ok",
        "patient": patient,
        "nodules": [],
        "also_looked_at": [],
        "ranked_by": None,
    }
    write_result(path, content | change)
    return path


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_the_report_is_its_owners_alone_and_takes_the_place_of_older_ones(tmp_path, umask) -> None:
    raw, out = write_series(tmp_path / "raw", chest()), tmp_path / "private/dicom/s"
    out.mkdir(parents=True, mode=0o700)
    for name in ("seg.dcm", "why-not.txt"):
        (out / name).write_text("old")
    before = os.umask(umask)
    try:
        write_dicom.run(out, raw=raw, nodules=table(tmp_path / "s.json"))
    finally:
        os.umask(before)
    assert os.listdir(out) == ["sr.dcm"]
    assert write_dicom.is_written(out)
    assert stat.S_IMODE((out / "sr.dcm").stat().st_mode) == 0o600
    assert stat.S_IMODE(out.stat().st_mode) == 0o700
    assert pydicom.dcmread(out / "sr.dcm").StudyInstanceUID == STUDY


def test_folders_that_are_made_are_closed_and_those_above_stay_as_they_are(tmp_path) -> None:
    tmp_path.chmod(0o755)
    write_dicom.run(tmp_path / "a/b", raw=write_series(tmp_path / "raw", chest()), nodules=table(tmp_path / "s.json"))
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("", "a", "a/b")] == [0o755, 0o700, 0o700]


def test_a_zip_of_a_study_gets_the_report_of_its_folder(tmp_path) -> None:
    raw, nodules = write_series(tmp_path / "raw", chest()), table(tmp_path / "s.json")
    zipped = Path(shutil.make_archive(str(tmp_path / "study"), "zip", raw))
    for name, source in (("folder", raw), ("zip", zipped)):
        write_dicom.run(tmp_path / name, raw=source, nodules=nodules)
    reports = [pydicom.dcmread(tmp_path / name / "sr.dcm") for name in ("folder", "zip")]
    assert reports[0].CurrentRequestedProcedureEvidenceSequence == reports[1].CurrentRequestedProcedureEvidenceSequence


def test_a_quarantined_scan_says_so_in_a_file(tmp_path) -> None:
    write_dicom.run(
        tmp_path / "out", raw=tmp_path, nodules=table(tmp_path / "s.json", status="quarantined", nodules=None)
    )
    assert os.listdir(tmp_path / "out") == ["why-not.txt"]
    assert NOTICE in (tmp_path / "out/why-not.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: shutil.rmtree(raw), "expected a scan or a link to one"),
        (lambda raw: [path.unlink() for path in raw.iterdir()], r"cannot be read any more \(Q_NO_CT_SERIES\)"),
        (lambda raw: (shutil.rmtree(raw), write_bare(raw, chest())), "no valid StudyInstanceUID"),
    ],
    ids=["gone", "empty", "without UIDs"],
)
def test_a_source_that_cannot_be_referred_to_is_one_line_and_a_file(tmp_path, capsys, damage, says) -> None:
    raw, nodules = write_series(tmp_path / "raw", chest()), table(tmp_path / "s.json")
    damage(raw)
    with pytest.raises(LunglineError, match=says):
        write_dicom.run(tmp_path / "out", raw=raw, nodules=nodules)
    assert not write_dicom.run_or_write_reason(tmp_path / "out", "scan-1", raw=raw, nodules=nodules)
    assert capsys.readouterr().err.startswith("scan-1: no DICOM was written: ")
    assert os.listdir(tmp_path / "out") == ["why-not.txt"]
    assert write_dicom.is_written(tmp_path / "out")


def test_a_source_that_has_changed_since_it_was_answered_is_refused(tmp_path) -> None:
    raw, nodules = write_series(tmp_path / "raw", chest()), table(tmp_path / "s.json")
    answered = hash_of_files(raw_files(raw, "dicom"))
    write_dicom.run(tmp_path / "out", raw=raw, nodules=nodules, input_sha256=answered)
    next(raw.iterdir()).unlink()
    with pytest.raises(LunglineError, match="have changed since it was answered"):
        write_dicom.run(tmp_path / "out", raw=raw, nodules=nodules, input_sha256=answered)


def test_headers_that_break_the_writer_are_named_by_kind_and_not_quoted(tmp_path) -> None:
    def spoil(k, dataset):
        dataset.StudyTime = "1011-1213"  # a span of times, which DICOM allows in questions only

    raw = write_series(tmp_path / "raw", chest(), more=spoil)
    with pytest.raises(LunglineError) as caught:
        write_dicom.run(tmp_path / "out", raw=raw, nodules=table(tmp_path / "s.json"))
    assert "the headers of the source do not allow it (" in str(caught.value)
    assert "1011" not in str(caught.value)


def test_a_table_with_candidates_needs_their_label_map(tmp_path) -> None:
    row = dict.fromkeys(COLUMNS[1:], 1)
    with pytest.raises(LunglineError, match="name --labels and --candidates"):
        write_dicom.run(tmp_path / "out", raw=tmp_path, nodules=table(tmp_path / "s.json", nodules=[row]))
