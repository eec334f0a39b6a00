import numpy as np
import pytest

from lungline.detection.candidates import Candidate, crop_patches


def candidate(rank, z, y, x) -> Candidate:
    return Candidate(rank, 5.0, 5.0, 0.9, 0.95, 6, z, y, x, x * 2, y * 2, z * 2, 4.0, rank)


def test_absent_slots_are_marked_and_hold_nothing():
    ct = np.full((40, 40, 40), 40, np.int16)
    patches = crop_patches(ct, np.ones(ct.shape, np.float16), [candidate(1, 20, 20, 20)], count=20, size=32)
    assert patches.cubes.shape == (20, 2, 32, 32, 32)
    assert patches.valid.tolist() == [True] + [False] * 19
    assert np.isnan(patches.centroid_xyz_mm[1:]).all()
    assert (patches.cubes[1:] == 0).all()


def test_the_two_channels_are_scaled_hu_and_probability_and_air_lies_outside():
    ct = np.full((10, 10, 10), -300, np.int16)
    patches = crop_patches(ct, np.full(ct.shape, 0.25, np.float16), [candidate(1, 5, 5, 5)], size=32)
    centre = patches.cubes[0, :, 16, 16, 16]
    assert centre.tolist() == pytest.approx([0.5, 0.25])
    assert patches.cubes[0, :, 0, 0, 0].tolist() == [0.0, 0.0]


def test_more_candidates_than_slots_are_cut():
    ct = np.zeros((8, 8, 8), np.int16)
    found = [candidate(i + 1, 4, 4, 4) for i in range(5)]
    assert crop_patches(ct, ct.astype(np.float16), found, count=3, size=8).valid.all()
