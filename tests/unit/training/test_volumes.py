"""Whole lung regions: padded with air evenly, cut with a warning, cropped where they should be."""

import numpy as np
import pytest

from lungline.config.entries import VolumeInput
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.volumes import PatientVolume, centre, fixed_crops, largest_region, read_region

REGION = (5, 7, 4)


@pytest.fixture
def cache(tmp_path):
    """Whole slices of -1000 HU with a lung region of 5 x 7 x 4 voxels at -300 HU in them."""
    ct = np.full((12, 20, 15), -1000, np.int16)
    ct[3:8, 9:16, 2:6] = -300
    affine = geometry.make_affine((1.0, 1.0, 1.0))
    path = tmp_path / "cache" / "a.h5"
    header = Header("masked_ct_hu", "cache_volume", parameters={"outside_hu": -1000.0})
    hdf5.write_file(path, header, {"ct": Field(ct, "zyx", "HU", "", affine)})
    return path


def test_the_lung_region_stands_in_the_middle_of_air(cache):
    volume, flags = read_region(cache, VolumeInput(pad_to=(8, 10, 9)), (8, 10, 9))
    assert flags == ()
    assert volume.dtype == np.float16
    box = volume[1:6, 1:8, 2:6]  # an odd voxel goes to the far side
    np.testing.assert_allclose(box, 0.5, rtol=1e-3)
    assert float(volume.sum()) == pytest.approx(float(box.sum()), rel=1e-2)
    assert (volume > 0).sum() == np.prod(REGION)


def test_a_region_that_is_too_large_loses_its_rim_and_says_so(cache):
    volume, (flag,) = read_region(cache, VolumeInput(pad_to=(8, 8, 8)), (3, 8, 8))
    assert flag.flag == "W_VOLUME_CROPPED"
    assert "5x7x4" in flag.detail
    assert volume.shape == (3, 8, 8)
    assert (volume > 0).sum() == 3 * 7 * 4


def test_the_rim_is_cut_evenly():
    volume = np.arange(7, dtype=np.float16)[:, None, None] * np.ones((7, 2, 2), np.float16)
    assert centre(volume, (3, 2, 2))[:, 0, 0].tolist() == [2, 3, 4]
    assert centre(volume, (9, 2, 2))[:, 0, 0].tolist() == [0, 0, 1, 2, 3, 4, 5, 6, 0]


def test_the_largest_region_is_the_largest_along_each_axis(cache, tmp_path):
    other = tmp_path / "cache" / "b.h5"
    ct = Field(np.full((11, 3, 9), -500, np.int16), "zyx", "HU", "", geometry.make_affine((1.0, 1.0, 1.0)))
    hdf5.write_file(other, Header("ct", "cache_volume", parameters={"outside_hu": -1000.0}), {"ct": ct})
    assert largest_region([cache, other]) == (11, 8, 9)


def test_fixed_crops_are_the_corners_and_the_middle():
    volume = np.arange(6 * 7 * 8, dtype=np.float16).reshape(6, 7, 8)
    crops = fixed_crops(volume, 4)
    assert crops.shape == (9, 1, 4, 4, 4)
    assert crops[0, 0, 0, 0, 0] == volume[0, 0, 0]
    assert crops[7, 0, -1, -1, -1] == volume[-1, -1, -1]
    np.testing.assert_array_equal(crops[8, 0], volume[1:5, 1:5, 2:6])
    assert fixed_crops(volume, None).shape == (1, 1, 6, 7, 8)


def test_training_draws_crops_from_everywhere_and_the_same_ones_again(tmp_path):
    volume = np.arange(12**3, dtype=np.float16).reshape(12, 12, 12)
    field = Field(volume, "zyx", "1", "", geometry.make_affine((1.0, 1.0, 1.0)))
    hdf5.write_file(tmp_path / "a.h5", Header("resized_volume", "resize_volume"), {"volume": field})
    patient = PatientVolume("a", 1, tmp_path / "a.h5", VolumeInput(resize_to=12, crop=8), (8, 8, 8))
    firsts = {float(patient.sample(np.random.default_rng(seed))[0, 0, 0, 0, 0]) for seed in range(300)}
    assert len(firsts) > 80  # of 125
    np.testing.assert_array_equal(*(patient.sample(np.random.default_rng(3)) for _ in range(2)))


def test_a_volume_resized_to_something_else_is_refused(tmp_path):
    field = Field(np.zeros((8, 8, 8), np.float16), "zyx", "1", "", geometry.make_affine((1.0, 1.0, 1.0)))
    hdf5.write_file(tmp_path / "a.h5", Header("resized_volume", "resize_volume"), {"volume": field})
    with pytest.raises(LunglineError, match="resize_to is 16"):
        read_region(tmp_path / "a.h5", VolumeInput(resize_to=16), (16, 16, 16))
