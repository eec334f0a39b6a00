"""A point of the patient lies where it did, in the eyes of other programs."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.readers.scan import read_scan
from lungline.storage.nifti_output import write_nifti
from tests.scans import chest

MARK_ZYX = (1, 5, 3)


def oblique() -> geometry.Affine:
    """Axes that run askew and, along x, against the world's, with three spacings."""
    a, b = np.deg2rad((20, -12))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]]
    )
    direction = turn[:, [2, 1, 0]] * [1, 1, -1]
    return geometry.make_affine((2.5, 0.7, 0.9), (-31.0, 42.5, -113.0), direction)


@pytest.mark.parametrize("affine", [geometry.make_affine((2.5, 0.7, 0.9), (-31.0, 42.5, -113.0)), oblique()])
@pytest.mark.parametrize("name", ["mask.nii", "deep/er/mask.nii.gz"])
def test_a_marked_voxel_lies_where_it_did(tmp_path: Path, affine: geometry.Affine, name: str) -> None:
    mask = np.zeros((4, 7, 9), dtype=bool)
    mask[MARK_ZYX] = True
    write_nifti(Volume(mask, affine), tmp_path / name)
    place_xyz_mm = geometry.voxel_to_world(affine, MARK_ZYX)  # LPS

    image = nibabel.load(tmp_path / name)
    (index_ijk,) = np.argwhere(np.asarray(image.dataobj))
    np.testing.assert_allclose((image.affine @ [*index_ijk, 1])[:3], place_xyz_mm * [-1, -1, 1], atol=1e-4)  # RAS
    np.testing.assert_allclose(image.get_qform(), image.affine, atol=1e-4)  # what else reads one of both agrees
    assert image.header.get_xyzt_units()[0] == "mm"
    assert NOTICE in str(image.header["descrip"])

    read = SimpleITK.ReadImage(tmp_path / name)  # LPS
    index = tuple(int(i) for i in np.argwhere(SimpleITK.GetArrayFromImage(read))[0][::-1])
    np.testing.assert_allclose(read.TransformIndexToPhysicalPoint(index), place_xyz_mm, atol=1e-4)
    np.testing.assert_allclose(read.GetSpacing(), (0.9, 0.7, 2.5), atol=1e-6)


def test_a_scan_that_was_written_is_read_as_it_was(tmp_path: Path) -> None:
    ct = Volume(chest(), geometry.make_affine((2.5, 2.1, 1.7), (-31.0, -42.0, 13.0)))
    write_nifti(ct, tmp_path / "scan.nii.gz")
    again, flags = read_scan(tmp_path / "scan.nii.gz", "nifti")
    np.testing.assert_array_equal(again.array, ct.array)
    np.testing.assert_allclose(again.affine, ct.affine, atol=1e-5)
    assert flags == []


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([0, 1], bool), np.uint8),
        (np.array([0.5, 1], np.float16), np.float32),
        (np.array([0.5, 1], np.float64), np.float64),
        (np.array([0, 300], np.uint16), np.uint16),
        (np.array([-5, 300], ">i2"), np.int16),
        (np.array([0, 200], np.int64), np.uint8),
        (np.array([-5, 200], np.int64), np.int16),
        (np.array([0, 70_000], np.uint64), np.int32),
    ],
)
def test_values_keep_their_worth_in_a_type_that_nifti_knows(tmp_path: Path, array: np.ndarray, kind: type) -> None:
    write_nifti(Volume(array.reshape(1, 1, 2), np.eye(4)), tmp_path / "a.nii")
    image = nibabel.load(tmp_path / "a.nii")
    assert image.get_data_dtype() == kind
    assert np.asarray(image.dataobj).ravel().tolist() == array.astype(kind).tolist()


@pytest.mark.parametrize(
    ("array", "name", "words"),
    [
        (np.zeros((1, 1, 1)), "a.nii.zip", "ends in .nii or .nii.gz"),
        (np.full((1, 1, 1), 1 << 40), "a.nii", "at most 32 bits"),
        (np.zeros((1, 1, 1), complex), "a.nii", "Found complex128"),
    ],
)
def test_what_nifti_cannot_hold_is_refused(tmp_path: Path, array: np.ndarray, name: str, words: str) -> None:
    with pytest.raises(LunglineError, match=words):
        write_nifti(Volume(array, np.eye(4)), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.nii.gz", "two.nii.gz"):
        write_nifti(Volume(chest(), np.eye(4)), tmp_path / name)
    assert (tmp_path / "one.nii.gz").read_bytes() == (tmp_path / "two.nii.gz").read_bytes()
