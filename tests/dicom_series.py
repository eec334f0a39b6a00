"""CT series as a scanner sends them, with all that DICOM demands, and the validator that says so."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from scans import write_dicom

STUDY, SERIES, FRAME = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.3"
PATIENT = {
    "PatientName": "Roe^Jané",
    "PatientID": "MRN-0042",
    "PatientBirthDate": "19470301",
    "PatientSex": "F",
    "StudyDate": "20240102",
    "StudyTime": "101112",
    "StudyID": "77",
    "AccessionNumber": "A-4711",
    "ReferringPhysicianName": "Doe^John",
}


def as_sent(k: int, dataset: Dataset, more: Callable[[int, Dataset], object] | None = None) -> None:
    """What a scanner says of a slice beyond its pixels."""
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = map(UID, (STUDY, SERIES, FRAME))
    dataset.SOPInstanceUID = UID(f"{SERIES}.{k + 1}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for name, value in PATIENT.items():
        setattr(dataset, name, value)
    dataset.SeriesNumber, dataset.SliceThickness, dataset.Manufacturer = 3, 2.5, "Acme"
    dataset.PositionReferenceIndicator, dataset.PatientPosition = "XY", "HFS"
    dataset.KVP, dataset.RescaleType = 120, "HU"
    if more is not None:
        more(k, dataset)


def write_series(
    folder: Path, hu: np.ndarray, *, more: Callable[[int, Dataset], object] | None = None, **options
) -> Path:
    """As `write_dicom`, of a patient in a study."""
    return write_dicom(folder, hu, change=lambda k, dataset: as_sent(k, dataset, more), **options)


def complaints(path: Path) -> list[str]:
    """Errors that dciodvfy finds in a file; the test is skipped where there is no dciodvfy."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy (Debian: apt install dicom3tools)")
    answer = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    said = (answer.stdout + answer.stderr).splitlines()
    return [line for line in said if line.startswith("Error")]
