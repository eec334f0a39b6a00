"""Turned and distorted cubes: the same thing, seen otherwise."""

import numpy as np
import pytest

from lungline.training.augmentation import augment_affine_and_intensity, flip_and_rotate
from lungline.training.patients import PatientCubes


def balls(n=64, size=24, radius=5.0):
    """A bright ball in the middle of each cube, and the same as its probability."""
    grid = np.stack(np.meshgrid(*[np.arange(size)] * 3, indexing="ij"), axis=-1)
    ball = np.clip(radius + 0.5 - np.linalg.norm(grid - (size - 1) / 2, axis=-1), 0, 1)
    return np.broadcast_to(np.stack([0.1 + 0.6 * ball, 0.9 * ball]), (n, 2, size, size, size)).astype(np.float16)


def test_a_ball_stays_a_ball_near_the_middle_and_no_two_are_the_same():
    seen = augment_affine_and_intensity(balls(), np.random.default_rng(1))
    assert (seen.dtype, seen.shape) == (np.float16, (64, 2, 24, 24, 24))
    assert 0 <= seen.min() < seen.max() <= 1
    volumes, middles = [], []
    for cube in seen:
        inside = np.argwhere(cube[1] > 0.3)
        volumes.append(len(inside))
        middles.append(inside.mean(axis=0) - 11.5)
    true = 4 / 3 * np.pi * 5**3
    assert np.abs(middles).max() < 4.0
    assert np.std(middles) > 0.5
    assert 0.4 * true < min(volumes) < 0.8 * true < 1.3 * true < max(volumes) < 3 * true
    background = seen[:, 0, :3, :3, :3].reshape(64, -1).astype(np.float64)
    assert 0.01 < np.std(background.mean(axis=1)) < 0.05  # brightness
    assert background.std(axis=1).max() < 0.03  # noise
    assert np.std(seen[:, 1].reshape(64, -1).max(axis=1)) > 0.005  # how sure the detector is


@pytest.mark.parametrize("size", [9, 24])
def test_the_same_draw_gives_the_same_bytes(size):
    one, two = (augment_affine_and_intensity(balls(3, size, 2.0), np.random.default_rng(5)) for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_a_patients_cubes_are_distorted_if_it_is_asked_for_and_kept_as_they_were():
    cubes = balls(2)
    plain, other = (
        PatientCubes("p", 1, cubes, flips_and_rotations=False, affine_and_intensity=asked) for asked in (False, True)
    )
    assert plain.sample(np.random.default_rng(0)) is cubes
    assert not np.array_equal(other.sample(np.random.default_rng(0)), cubes)
    assert np.array_equal(other.cubes, cubes)


def test_turning_keeps_the_values_and_the_channels():
    cubes = np.random.default_rng(0).random((2, 2, 8, 8, 8)).astype(np.float16)
    apply_symmetry = flip_and_rotate(cubes, np.random.default_rng(1))
    assert apply_symmetry.shape == cubes.shape
    for one, other in zip(cubes.reshape(4, -1), apply_symmetry.reshape(4, -1), strict=True):
        np.testing.assert_array_equal(np.sort(one), np.sort(other))
    assert not np.array_equal(apply_symmetry, cubes)
