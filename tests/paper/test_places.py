"""Beads at known places of the scanner's world come back through ingest, resample and candidates.

Nothing is equal to anything else: shape, spacing, direction, bead. A mix-up of two axes, a flip or a shift by
half a voxel would move a bead by more than the half millimetre that is allowed.
"""

from pathlib import Path

import numpy as np
import pytest

from lungline.detection.candidates import extract_candidates
from lungline.imaging import geometry
from lungline.stages import ingest, resample
from lungline.storage import hdf5
from scans import write_dicom, write_mhd
from stage_settings import RESAMPLE

SHAPE_KJI = (26, 44, 58)
SPACING_KJI = (2.5, 1.9, 1.6)
ORIGIN_XYZ_MM = (-31.0, -42.0, 13.0)
BEADS_KJI = np.array([[6.3, 12.8, 15.1], [17.6, 30.2, 20.4], [12.1, 9.7, 38.9]])


def turned(a: float, b: float) -> np.ndarray:
    """Direction cosines whose columns are i, j, k; no axis parallel to the world's."""
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return about_z @ about_x


def beads_hu() -> np.ndarray:
    """int16 HU (k, j, i): lung with a wall of soft tissue on one side and three blurred beads."""
    index = np.moveaxis(np.indices(SHAPE_KJI), 0, -1)
    hu = np.full(SHAPE_KJI, -850.0)
    hu[:, :, 50:] = 40
    for bead in BEADS_KJI:
        distance_mm = np.linalg.norm((index - bead) * SPACING_KJI, axis=-1)
        hu += 1600 * np.exp(-((distance_mm / 4.0) ** 2))
    return np.rint(hu).astype(np.int16)


def found_xyz_mm(raw: Path, source: str, folder: Path) -> np.ndarray:
    """World places of the candidates when brightness is taken for nodule probability, ordered by x."""
    ingest.run(raw, folder / "i.h5", source=source)
    assert hdf5.read_header(folder / "i.h5").status == "ok"
    resample.run(folder / "i.h5", folder / "r.h5", **RESAMPLE)
    ct = hdf5.read_volume(folder / "r.h5", "ct")
    probability = ct.with_array(np.clip((ct.array + 850) / 1500, 0, 1).astype(np.float32))
    places = np.array([c.centroid_xyz_mm for c in extract_candidates(probability, threshold=0.7)[0]])
    return places[np.argsort(places[:, 0])]


def expected_xyz_mm(direction_ijk: np.ndarray, origin_xyz_mm: np.ndarray) -> np.ndarray:
    affine = geometry.make_affine(SPACING_KJI, origin_xyz_mm, direction_ijk[:, ::-1])
    places = geometry.voxel_to_world(affine, BEADS_KJI)
    return places[np.argsort(places[:, 0])]


@pytest.mark.parametrize("direction", [np.eye(3), turned(0.35, -0.2), turned(-0.6, 0.45)], ids=["straight", "a", "b"])
def test_beads_come_back_from_an_oblique_dicom_series(tmp_path, direction):
    orientation = [*direction[:, 0], *direction[:, 1]]
    write_dicom(tmp_path / "raw", beads_hu(), spacing_kji=SPACING_KJI, origin=ORIGIN_XYZ_MM, orientation=orientation)
    found = found_xyz_mm(tmp_path / "raw", "dicom", tmp_path)
    expected = expected_xyz_mm(direction, np.array(ORIGIN_XYZ_MM))
    assert np.linalg.norm(found - expected, axis=1).max() < 0.5


@pytest.mark.parametrize(
    "direction",
    [
        np.eye(3),
        np.diag([-1.0, -1.0, 1.0]),
        np.diag([-1.0, 1.0, -1.0]),
        turned(0.35, -0.2) @ np.diag([-1.0, -1.0, 1.0]),
    ],
    ids=["straight", "LUNA's flip of x and y", "x and z", "oblique and flipped"],
)
def test_beads_come_back_from_a_flipped_luna_header(tmp_path, direction):
    path = write_mhd(
        tmp_path / "raw" / "scan.mhd",
        beads_hu(),
        ElementSpacing=" ".join(map(str, SPACING_KJI[::-1])),
        Offset=" ".join(map(str, ORIGIN_XYZ_MM)),
        TransformMatrix=" ".join(f"{v:.17g}" for v in direction.T.ravel()),
    )
    found = found_xyz_mm(path, "mhd", tmp_path)
    expected = expected_xyz_mm(direction, np.array(ORIGIN_XYZ_MM))
    assert np.linalg.norm(found - expected, axis=1).max() < 0.5
