"""Orthanc's DICOMweb plugin on loopback: found by QIDO-RS, fetched by WADO-RS, given back by STOW-RS, readable."""

from __future__ import annotations

import pydicom
import pytest

from lungline.stages import listen, send
from orthanc_server import Pacs
from tests.conformance.receive import image, tiny_answer, uid

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    pacs = Pacs(tmp_path_factory.mktemp("orthanc"), dicomweb=True)
    yield pacs
    pacs.stop()


def test_studies_are_answered_once_by_dicomweb_and_what_is_stored_can_be_read(pacs, tmp_path, capsys, monkeypatch):
    (tmp_path / "sent").mkdir()
    for study in range(3):
        for k in range(4):
            one = image(study, k)
            one.PatientName = "Roe^Jané^von"
            one.save_as(tmp_path / f"sent/{study}-{k}.dcm", enforce_file_format=True)
    pacs.send(tmp_path / "sent")
    monkeypatch.setattr(listen, "predict_study", lambda incoming, answers, options: tiny_answer(incoming, answers))
    words = {"out": tmp_path / "out", "every_s": 0.05, "settle_s": 0.0, "once": True}
    url = f"{pacs.server.url}/dicom-web"
    assert listen.run(dicomweb=url, **words) == 0
    assert sorted((tmp_path / "out/answers.log").read_text().splitlines()) == sorted(
        f"{uid(f'study {n}')} 4" for n in range(3)
    )
    for study in range(3):
        (seg,), (sr,) = pacs.holds("SEG", uid(f"study {study}")), pacs.holds("SR", uid(f"study {study}"))
        assert seg.NumberOfStudyRelatedInstances == sr.NumberOfStudyRelatedInstances == 4
    capsys.readouterr()
    assert listen.run(dicomweb=url, **words) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
    made = next((tmp_path / "out").glob("*/private/sr.dcm"))
    assert send.run(url, [made]) == 0  # it is there already
    again = pydicom.dcmread(made)
    again.SOPInstanceUID = again.file_meta.MediaStorageSOPInstanceUID = uid("another")
    again.save_as(tmp_path / "sr.dcm", enforce_file_format=True)
    assert send.run(url, [tmp_path / "sr.dcm"]) == 0
    assert len(pacs.holds("SR", again.StudyInstanceUID)) == 2
    assert send.run(pacs.server.url, [made]) == 1  # the root of Orthanc has no DICOMweb
    assert "Name the address of its DICOMweb services" in capsys.readouterr().out


def test_it_asks_for_images_of_ct_alone(pacs, tmp_path, capsys) -> None:
    (tmp_path / "sent").mkdir()
    one = image(7, 0)
    one.Modality = "MR"
    one.save_as(tmp_path / "sent/0.dcm", enforce_file_format=True)
    pacs.send(tmp_path / "sent")
    archive = listen.DicomWeb(f"{pacs.server.url}/dicom-web")
    assert uid("study 7") not in [study.id for study in archive.studies()]
    assert archive.instances(uid("study 7")) == {"MR": []}
    assert archive.count(uid("study 7")) == 1
