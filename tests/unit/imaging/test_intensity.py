import numpy as np

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box, mask_outside, scale_hu
from lungline.imaging.volume import Volume


def test_the_window_is_scaled_linearly_and_clipped():
    np.testing.assert_allclose(scale_hu(np.array([-3024, -1000, -300, 400, 3000])), [0, 0, 0.5, 1, 1])


def test_outside_the_mask_is_air_and_inside_is_the_nearest_whole_hu():
    ct = Volume(np.full((2, 2, 2), 40.6, np.float32), geometry.make_affine((1, 1, 1)))
    mask = np.zeros((2, 2, 2), bool)
    mask[1, 0, 1] = True
    masked = mask_outside(ct, mask)
    assert masked.array.dtype == np.int16
    assert masked.array[1, 0, 1] == 41
    assert (masked.array[~mask] == -1000).all()


def test_the_box_is_the_smallest_one():
    mask = np.zeros((9, 8, 7), bool)
    mask[2:4, 5, 1:6] = True
    assert bounding_box(mask) == (slice(2, 4), slice(5, 6), slice(1, 6))
    assert bounding_box(np.zeros((3, 4, 5), bool)) == (slice(0, 3), slice(0, 4), slice(0, 5))
