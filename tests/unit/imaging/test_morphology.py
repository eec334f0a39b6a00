import numpy as np
import pytest
from scipy import ndimage

from lungline.imaging.morphology import close, dilate, erode, fill_holes, label_pieces, label_slices


def ball_element(radius_mm, spacing):
    """The ball as scipy's structuring element: offsets whose length in mm is at most the radius."""
    reach = [int(radius_mm / s + 1e-9) for s in spacing]
    axes = [np.arange(-r, r + 1) * s for r, s in zip(reach, spacing, strict=True)]
    return sum(a**2 for a in np.meshgrid(*axes, indexing="ij")) <= radius_mm**2 + 1e-9


def speckle(shape=(23, 31, 29)):
    mask = np.random.default_rng(4).random(shape) < 0.002
    mask[0, 0, 0] = mask[-1, -1, -1] = mask[0, -1, 12] = True  # the ball leaves the array here
    return mask


@pytest.mark.parametrize("spacing", [(1, 1, 1), (2, 2, 2), (2.5, 0.7, 0.7), (0.8, 1.3, 1.1)])
@pytest.mark.parametrize("radius_mm", [0, 1, 3, 5, 7.5])
def test_dilating_is_that_of_the_euclidean_ball(radius_mm, spacing):
    mask = speckle()
    expected = ndimage.binary_dilation(mask, ball_element(radius_mm, spacing))
    np.testing.assert_array_equal(dilate(mask, radius_mm, spacing), expected)


@pytest.mark.parametrize("shape", [(1, 40, 40), (3, 2, 1), (40, 3, 4)])
def test_dilating_an_array_smaller_than_the_ball_is_right_too(shape):
    mask = np.zeros(shape, bool)
    mask[0, -1, 0] = True
    expected = ndimage.binary_dilation(mask, ball_element(5, (1, 1, 1)))
    np.testing.assert_array_equal(dilate(mask, 5, (1, 1, 1)), expected)


def test_a_spacing_off_by_rounding_does_not_lose_the_voxels_at_exactly_the_radius():
    mask = np.zeros((13, 13, 13), bool)
    mask[6, 6, 6] = True
    expected = ndimage.binary_dilation(mask, ball_element(5, (1, 1, 1)))
    np.testing.assert_array_equal(dilate(mask, 5, (1 + 1e-13, 1 - 1e-13, 1 + 1e-13)), expected)


def test_dilating_nothing_gives_nothing_and_leaves_the_input_alone():
    mask = np.zeros((4, 5, 6), bool)
    assert not dilate(mask, 5, (1, 1, 1)).any()
    assert not fill_holes(mask).any()
    assert not close(mask, 3, (1, 1, 1)).any()
    mask[2, 2, 2] = True
    dilate(mask, 5, (1, 1, 1))
    assert mask.sum() == 1


def test_eroding_takes_the_rim_but_not_where_the_array_ends():
    mask = np.zeros((12, 12, 12), bool)
    mask[:6] = True
    left = erode(mask, 2, (1, 1, 1))
    assert left[:4].all()
    assert not left[4:].any()


def test_closing_fills_a_narrow_dent_and_not_a_wide_one():
    slab = np.zeros((20, 60, 60), bool)
    slab[5:15, 5:55, 5:30] = True
    slab[5:15, 10:14, 22:30] = False
    slab[5:15, 25:45, 22:30] = False
    closed = close(slab, 4, (1, 1, 1))
    assert closed[10, 10:14, 22:28].all()
    assert not closed[10, 34, 27]
    assert not closed[:, :, 31:].any()


def test_a_cavity_and_a_nodule_at_the_cut_of_a_slab_are_filled():
    mask = np.ones((12, 20, 20), bool)
    mask[5:8, 8:12, 8:12] = False
    mask[10:, 4:6, 4:6] = False
    assert fill_holes(mask).all()


def test_a_mass_on_a_stalk_is_filled_and_a_dome_that_opens_below_is_not():
    mask = np.zeros((30, 40, 40), bool)
    mask[3:27, 4:36, 4:36] = True
    mask[15:21, 10:16, 10:16] = False  # a mass ...
    mask[17, 12, 3:11] = False  # ... on a stalk from the rim
    mask[:12, 22:32, 22:32] = False  # a dome
    filled = fill_holes(mask)
    assert filled[15:21, 10:12, 10:16].all()
    assert filled[15:21, 13:16, 10:16].all()
    assert not filled[4:11, 24:30, 24:30].any()


def test_pieces_of_slices_do_not_join_across_slices_nor_across_rows_of_two_slices():
    mask = np.zeros((2, 3, 3), bool)
    mask[0, 2, 1] = mask[1, 0, 1] = mask[0, 0, 0] = True
    labels = label_slices(mask)
    assert len({labels[0, 2, 1], labels[1, 0, 1], labels[0, 0, 0], 0}) == 4


def test_pieces_join_by_faces_only():
    mask = np.zeros((2, 3, 3), bool)
    mask[0, 0, 0] = mask[0, 0, 1] = mask[1, 1, 1] = True
    labels, counts = label_pieces(mask)
    assert labels[0, 0, 0] == labels[0, 0, 1] != labels[1, 1, 1]
    assert sorted(counts.tolist()) == [1, 2, 15]
