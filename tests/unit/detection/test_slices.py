import numpy as np
import pytest

from lungline.detection.slices import (
    AXES,
    computed_slices,
    fill_between,
    lung_box,
    neighbouring_slices,
    stack_along,
    unstack_along,
)


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


@pytest.mark.parametrize("count", [1, 2, 3, 7, 12])
@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_computed_slices_are_as_far_from_one_end_as_from_the_other(count, step):
    computed = computed_slices(count, step)
    before, after = computed[0], count - 1 - computed[-1]
    assert 0 <= after - before <= 1
    assert after < step


@pytest.mark.parametrize("step", [1, 2, 3, 5])
def test_between_computed_slices_values_are_linear_and_at_the_ends_the_nearest(step):
    truth = np.arange(13, dtype=np.float32)[:, None, None] * np.ones((13, 2, 3), np.float32)
    stack, computed = np.full_like(truth, np.nan), computed_slices(13, step)
    stack[computed.start :: step] = truth[computed.start :: step]
    fill_between(stack, step)
    np.testing.assert_allclose(stack, np.clip(truth, computed[0], computed[-1]), rtol=1e-6)


@pytest.mark.parametrize("step", [1, 2, 3])
def test_every_nth_slice_has_the_neighbours_that_it_has_among_all(step):
    volume = np.random.default_rng(0).random((7, 3, 4), dtype=np.float32)
    every = neighbouring_slices(volume, "z", 0, 7, slices=5)
    np.testing.assert_array_equal(neighbouring_slices(volume, "z", 1, 7, 5, step), every[1::step])


def test_the_box_of_a_slice_holds_all_that_is_not_air_and_no_more():
    windowed = np.zeros((9, 8), np.float32)
    assert lung_box(windowed) == (slice(0), slice(0))
    windowed[2, 5] = windowed[6, 3] = 0.1
    assert lung_box(windowed) == (slice(2, 7), slice(3, 6))
