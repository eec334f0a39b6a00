"""A real PACS on loopback: a study arrives, is answered, and finds segmentation and report beside it."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pydicom
import pytest

from dicom_series import PATIENT, SERIES, STUDY, write_series
from lungline.cli import main
from orthanc_server import Pacs, free_port
from phantoms import make_chest
from untrained import untrained_bundle

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    pacs = Pacs(tmp_path_factory.mktemp("orthanc"))
    yield pacs
    pacs.stop()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    return untrained_bundle(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def listened(pacs, bundle, tmp_path_factory):
    """A chest was sent, and `lungline listen` was called once: (its folder, what it said)."""
    folder = tmp_path_factory.mktemp("listened")
    ct = make_chest(spacing_mm=2.0).ct
    hu = np.rint(ct.array).astype(np.int16)
    pacs.send(write_series(folder / "sent", hu, spacing_kji=(2.0, 2.0, 2.0)))
    return folder, listen(pacs, folder / "out", bundle)


def listen(pacs, out: Path, bundle: Path, code: int = 0, settle_s: float = 1.5) -> list[str]:
    """What `lungline listen --once` says of studies."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        words = ["listen", pacs.url, "--out", str(out), "--once", "--every-s", "0.5", "--bundle", str(bundle)]
        words += ["--settle-s", str(settle_s)]
        assert main(words) == code
    first, *others = said.getvalue().splitlines()
    assert f"listening to {pacs.server.url}" in first
    return [line.partition(" study-")[2] for line in others]


def test_a_study_that_arrives_finds_segmentation_and_report_beside_it(pacs, listened) -> None:
    _, said = listened
    assert len(said) == 1
    assert "probability 0." in said[0]
    assert "SEG and SR stored" in said[0]
    (seg,), (sr,) = pacs.holds("SEG"), pacs.holds("SR")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == SERIES
    (study,) = sr.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == STUDY
    assert {series.SeriesInstanceUID for series in study.ReferencedSeriesSequence} == {SERIES, seg.SeriesInstanceUID}
    sent = {dataset.SOPInstanceUID for dataset in pacs.holds("CT")}
    shown = [f.DerivationImageSequence[0].SourceImageSequence[0] for f in seg.PerFrameFunctionalGroupsSequence]
    assert {item.ReferencedSOPInstanceUID for item in shown} <= sent
    assert (seg.PatientName, seg.PatientID) == (sr.PatientName, sr.PatientID) == ("Roe^Jané", "MRN-0042")


def test_no_image_is_kept_and_only_its_owner_knows_which_study_was_answered(listened) -> None:
    folder, _ = listened
    private = folder / "out/private"
    assert list((private / "incoming").iterdir()) == []
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert stat.S_IMODE((private / "journal.json").stat().st_mode) == 0o600
    (entry,) = json.loads((private / "journal.json").read_text(encoding="utf-8")).values()
    assert (folder / "out" / entry["name"] / "predictions.csv").is_file()
    open_to_all = [path for path in (folder / "out").rglob("*") if path.is_file() and "private" not in path.parts]
    words = [word.encode() for word in (PATIENT["PatientID"], PATIENT["AccessionNumber"], STUDY)]
    assert not any(word in path.read_bytes() for word in words for path in open_to_all)


def test_what_was_answered_is_not_answered_again_though_it_arrives_again(pacs, bundle, listened) -> None:
    folder, _ = listened
    assert listen(pacs, folder / "out", bundle) == []
    time.sleep(1.1)  # Orthanc's clock of arrivals counts seconds
    pacs.send(folder / "sent")
    (said,) = listen(pacs, folder / "out", bundle)
    assert "no new CT since it was answered" in said
    assert (len(pacs.holds("SEG")), len(pacs.holds("SR"))) == (1, 1)


def test_an_image_that_replaced_another_under_its_identifier_is_new(pacs, bundle, listened, tmp_path) -> None:
    """Orthanc's id of an image is made of identifiers, so it stays when the pixels are others."""
    folder, _ = listened
    shutil.copytree(folder / "sent", tmp_path / "again")
    path = sorted((tmp_path / "again").iterdir())[30]
    image = pydicom.dcmread(path)
    pixels = image.pixel_array.copy()
    pixels[10:20, 10:20] += 500
    image.PixelData = pixels.tobytes()
    image.save_as(path)
    time.sleep(1.1)
    pacs.send(tmp_path / "again")
    (said,) = listen(pacs, folder / "out", bundle)
    assert "SEG and SR stored" in said
    assert (len(pacs.holds("SEG")), len(pacs.holds("SR"))) == (2, 2)
    assert listen(pacs, folder / "out", bundle) == []


def test_a_study_of_which_half_arrived_before_a_restart_is_answered_when_it_is_whole(
    pacs, bundle, listened, tmp_path
) -> None:
    """Orthanc calls every study stable when it starts."""
    folder, _ = listened
    hu = np.rint(make_chest(spacing_mm=2.0).ct.array).astype(np.int16)

    def of_another(k: int, dataset: pydicom.Dataset) -> None:
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{STUDY}.9", f"{SERIES}.9"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.9.{k + 1}"

    files = sorted(write_series(tmp_path / "all", hu, spacing_kji=(2.0, 2.0, 2.0), more=of_another).iterdir())
    for name, some in (("first", files[::2]), ("second", files[1::2])):
        (tmp_path / name).mkdir()
        for path in some:
            path.rename(tmp_path / name / path.name)
    pacs.send(tmp_path / "first")
    pacs.stop()
    pacs.start()
    assert all(study.stable for study in pacs.server.studies())
    late = threading.Timer(2.0, pacs.send, [tmp_path / "second"])
    late.start()
    said = listen(pacs, folder / "out", bundle, settle_s=4.0)
    late.join()
    assert len(said) == 1
    assert "SEG and SR stored" in said[0]
    assert not any(code in said[0] for code in ("W_GAP_FILLED", "W_NONUNIFORM"))
    (report,) = pacs.holds("SR", f"{STUDY}.9")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    images = next(s for s in study.ReferencedSeriesSequence if s.SeriesInstanceUID == f"{SERIES}.9")
    assert len(images.ReferencedSOPSequence) == len(files)


def test_a_study_without_ct_a_useless_one_and_a_failure_are_named(pacs, bundle, listened, tmp_path) -> None:
    folder, _ = listened

    def of_study(number: int, **tags):
        def change(k: int, dataset: pydicom.Dataset) -> None:
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{STUDY}.{number}", f"{SERIES}.{number}"
            dataset.SOPInstanceUID = f"{SERIES}.{number}.{k + 1}"
            dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
            for name, value in tags.items():
                setattr(dataset, name, value)

        return change

    air = np.full((5, 16, 16), -1000, np.int16)
    pacs.send(write_series(tmp_path / "mr", air, more=of_study(1, Modality="MR")))
    pacs.send(write_series(tmp_path / "air", air, more=of_study(2)))
    said = sorted(line.partition(": ")[2] for line in listen(pacs, folder / "out", bundle))
    assert said == ["no CT in it (found MR): nothing to do", "quarantined, Q_NOT_CHEST_CT; nothing stored"]
    pacs.send(write_series(tmp_path / "more", air, more=of_study(3)))
    (said,) = listen(pacs, folder / "out", tmp_path / "no-such.json", code=1)
    assert "FAILED: lungline predict:" in said
    assert "no such file" in said
    (said,) = listen(pacs, folder / "out", bundle)  # tried again
    assert "quarantined" in said


def test_a_receiver_of_its_own_answers_and_an_orthanc_gets_segmentation_and_report(pacs, bundle, tmp_path) -> None:
    hu = np.rint(make_chest(spacing_mm=2.0).ct.array).astype(np.int16)

    def of_another(k: int, dataset: pydicom.Dataset) -> None:
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"{STUDY}.20", f"{SERIES}.20"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{SERIES}.20.{k + 1}"

    sent = write_series(tmp_path / "sent", hu, spacing_kji=(2.0, 2.0, 2.0), more=of_another)
    port, node = free_port(), f"LUNGLINE@127.0.0.1:{pacs.dicom}"
    words = ["receive", "--port", str(port), "--send-to", node, "--quiet-seconds", "2", "--bundle", str(bundle)]
    command = [sys.executable, "-m", "lungline.cli", *words, "--callers", "SCANNER", "--out", str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as receiver:
        assert receiver.stdout is not None
        try:
            assert "LUNGLINE receives at 127.0.0.1:" in receiver.stdout.readline()
            pacs.send(sent, port)
            assert "SEG and SR written" in receiver.stdout.readline()
            deadline = time.monotonic() + 60
            while not pacs.holds("SR", f"{STUDY}.20") and time.monotonic() < deadline:
                time.sleep(0.2)
        finally:
            receiver.kill()
    (seg,), (sr,) = pacs.holds("SEG", f"{STUDY}.20"), pacs.holds("SR", f"{STUDY}.20")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == f"{SERIES}.20"
    assert (sr.PatientName, sr.PatientID) == ("Roe^Jané", "MRN-0042")
    assert list((tmp_path / "out/private/inbox").iterdir()) == []


def test_a_wrong_address_is_one_line(tmp_path, capsys) -> None:
    assert main(["listen", f"127.0.0.1:{free_port()}", "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "no answer (Connection refused)" in said.err
    assert main(["listen", "ftp://pacs", "--out", str(tmp_path / "out")]) == 2
    assert "expected the address of a server" in capsys.readouterr().err
