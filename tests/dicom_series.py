"""CT series as a scanner sends them, with all that DICOM demands, and the validator that says so."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID

from tests.phantoms import adult_chest
from tests.scans import write_dicom

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


def as_sent(k: int, dataset: Dataset, more: Callable[[int, Dataset], object] | None = None) -> object:
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
    return more(k, dataset) if more is not None else None


def write_series(
    folder: Path, hu: np.ndarray, *, more: Callable[[int, Dataset], object] | None = None, **options
) -> Path:
    """As `write_dicom`, of a patient in a study."""
    return write_dicom(folder, hu, change=lambda k, dataset: as_sent(k, dataset, more), **options)


def write_chest(
    folder: Path,
    z_mm: Sequence[float],
    *,
    series: int = 3,
    more: Callable[[int, Dataset], object] | None = None,
    prefix: str = "f",
    pixel_mm: float = 6.0,
    centre_xy_mm: tuple[float, float] = (0.0, 0.0),
    width_mm: float = 384.0,
    tilt_degrees: float = 0.0,
    seed: int = 0,
    hu_of: Callable[..., np.ndarray] = adult_chest,
    **elements: object,
) -> Path:
    """Slices of `adult_chest` at these heights of their centres, as a series; `more` and `elements` change headers.

    A tilted gantry turns the rows about x; the table moves along z all the same.
    """
    size = round(width_mm / pixel_mm)
    tilt = np.deg2rad(tilt_degrees)
    along_j = np.array([0, np.cos(tilt), -np.sin(tilt)])
    i, j = (np.arange(size) - (size - 1) / 2) * pixel_mm, ((np.arange(size) - (size - 1) / 2) * pixel_mm)[:, None]
    noise = np.random.default_rng(seed)
    planes = []
    for z in z_mm:
        x, y = i + centre_xy_mm[0], j * along_j[1] + centre_xy_mm[1]
        plane = hu_of(*np.broadcast_arrays(x, y, z + j * along_j[2]))
        planes.append(np.clip(plane + noise.normal(0, 12, plane.shape), -1024, 3071).astype(np.int16))
    corner = np.array([centre_xy_mm[0] + i[0], centre_xy_mm[1], 0]) + j[0] * along_j
    positions = corner + np.outer(z_mm, (0, 0, 1))
    uid = f"{SERIES}.{series}"

    def change(k: int, dataset: Dataset) -> object:
        dataset.SeriesInstanceUID, dataset.SeriesNumber = UID(uid), series
        dataset.SOPInstanceUID = UID(f"{uid}.{seed}.{k + 1}")
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.InstanceNumber, dataset.SliceThickness = k + 1, 5
        for name, value in elements.items():
            setattr(dataset, name, value)
        return more(k, dataset) if more else None

    return write_series(
        folder, np.stack(planes), more=change, spacing_kji=(0, pixel_mm, pixel_mm), positions=positions,
        orientation=(1, 0, 0, *along_j), prefix=prefix,
    )  # fmt: skip


def complaints(path: Path) -> list[str]:
    """Errors that dciodvfy finds in a file; the test is skipped where there is no dciodvfy."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy (Debian: apt install dicom3tools)")
    answer = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, errors="replace", check=False)
    said = (answer.stdout + answer.stderr).splitlines()
    return [line for line in said if line.startswith("Error")]
