import numpy as np
import pytest

from lungline.detection.slices import AXES, neighbouring_slices, stack_along, unstack_along


@pytest.mark.parametrize("axis", AXES)
def test_unstack_undoes_stack(axis):
    volume = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(unstack_along(stack_along(volume, axis), axis), volume)


def test_a_slice_along_y_keeps_z_and_x():
    volume = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(stack_along(volume, "y")[1], volume[:, 1, :])


def test_neighbours_are_channels_and_beyond_the_end_is_air():
    volume = np.arange(1, 6).reshape(5, 1, 1).astype(np.float32) * np.ones((1, 2, 2), np.float32)
    channels = neighbouring_slices(volume, "z", 0, 5, slices=3)
    assert channels[:, :, 0, 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5], [4, 5, 0]]
    part = neighbouring_slices(volume, "z", 3, 5, slices=5)
    assert part[:, :, 0, 0].tolist() == [[2, 3, 4, 5, 0], [3, 4, 5, 0, 0]]
