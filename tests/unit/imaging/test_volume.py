"""A volume that is turned keeps its voxels where they are."""

import numpy as np
import pytest

from lungline.imaging import geometry
from lungline.imaging.volume import Volume

OBLIQUE = geometry.make_affine((2.5, 0.7, 0.9), (-31.0, 42.5, -113.0), [[0.8, 0.6, 0], [-0.6, 0.8, 0], [0, 0, 1.0]])


@pytest.mark.parametrize("axis", range(3))
def test_a_flipped_axis_leaves_every_voxel_in_its_place(axis: int) -> None:
    volume = Volume(np.arange(2 * 3 * 5).reshape(2, 3, 5), OBLIQUE)
    turned = volume.flipped(axis)
    here = [1, 2, 4]
    there = [n - 1 - i if k == axis else i for k, (i, n) in enumerate(zip(here, volume.shape_zyx, strict=True))]
    assert turned.array[tuple(there)] == volume.array[tuple(here)]
    places = geometry.voxel_to_world(turned.affine, there), geometry.voxel_to_world(volume.affine, here)
    np.testing.assert_allclose(*places, atol=1e-9)
    np.testing.assert_array_equal(turned.flipped(axis).array, volume.array)
