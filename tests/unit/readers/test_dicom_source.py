"""The headers of a source, read again for the way out."""

import numpy as np
import pytest

from dicom_series import SERIES, write_series
from lungline.errors import LunglineError, Quarantine
from lungline.pacs.dicom_objects import dicom_objects
from lungline.readers.dicom_headers import quiet
from lungline.readers.dicom_source import read_series
from planted import MARKER, plant_in_dicom
from scans import chest, write_dicom


def test_the_slices_are_those_that_are_read_sorted_along_the_body(tmp_path) -> None:
    def other_series(k, dataset):
        if k >= 10:
            dataset.SeriesInstanceUID = f"{SERIES}.9"

    series = read_series(write_series(tmp_path / "raw", chest(), more=other_series))
    heights = [item.position_xyz_mm[2] for item in series.slices]
    np.testing.assert_allclose(heights, 13 + 2.5 * np.arange(10))
    assert [header.SOPInstanceUID for header in series.headers] == [f"{SERIES}.{k + 1}" for k in range(10)]
    assert series.uid("SeriesInstanceUID") == SERIES
    assert not series.is_one_file


def test_what_dicom_does_not_allow_of_the_patient_is_left_out_and_the_rest_is_kept(tmp_path) -> None:
    def spoil(k, dataset):
        with quiet():
            dataset.PatientBirthDate, dataset.PatientSex, dataset.StudyID = "in spring", "none", "far too long for this"
            del dataset.AccessionNumber, dataset.SliceThickness
            dataset.SpacingBetweenSlices = 7

    header = read_series(write_series(tmp_path / "raw", chest(), more=spoil)).headers[0]
    assert (header.PatientBirthDate, header.PatientSex, header.StudyID, header.AccessionNumber) == ("", "", "", "")
    assert (str(header.PatientName), header.PatientID) == ("Roe^Jané", "MRN-0042")
    assert header.SliceThickness == 2.5
    assert "SpacingBetweenSlices" not in header  # the positions lie 2.5 mm apart
    assert header.SpecificCharacterSet == "ISO_IR 192"


def test_elements_that_cannot_even_be_read_are_left_out(tmp_path) -> None:
    def plant(k, dataset):
        plant_in_dicom(k, dataset)
        dataset.StudyInstanceUID = dataset.FrameOfReferenceUID = dataset.SeriesInstanceUID = SERIES
        dataset.SOPInstanceUID = f"{SERIES}.{k + 1}"

    with quiet():
        series = read_series(write_dicom(tmp_path / "raw", chest(), change=plant))
        table = {"nodules": None, "patient": {"cancer_probability": 0.5}, "classifier": "m2"}
        made = dicom_objects(series, table, [], None)
    assert (made.sr.PatientName, made.sr.PatientBirthDate, made.sr.StudyTime) == (MARKER, "", "")


def test_a_series_without_uids_and_one_that_is_gone_say_so(tmp_path) -> None:
    bare = write_dicom(tmp_path / "bare", chest())
    with pytest.raises(LunglineError, match="no valid StudyInstanceUID"):
        read_series(bare)
    for path in bare.iterdir():
        path.unlink()
    with pytest.raises(Quarantine, match="Q_NO_CT_SERIES"):
        read_series(bare)
