"""Nodules of several scans: which are one, and what each scan says of them."""

import numpy as np

from lungline.imaging.registration import RigidTransform
from lungline.nodules.matching import chain_points, pair_points, states_of

STILL = RigidTransform(np.eye(4), 1.0)
SHIFTED = RigidTransform(np.array([[1.0, 0, 0, 100], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), 1.0)
NONE = np.empty((0, 3))


def points(*x: float) -> np.ndarray:
    return np.array([(one, 0.0, 0.0) for one in x]).reshape(-1, 3)


def test_nothing_is_paired_beyond_the_tolerance_and_the_sum_of_distances_is_smallest() -> None:
    before = points(0, 4, 50)
    after = points(3, 8, 80)
    assert pair_points(before, after, 12) == [(0, 0), (1, 1)]  # the nearest first would leave 0 with 8
    assert pair_points(before, after, 2) == [(1, 0)]
    assert pair_points(before[:0], after, 12) == []


def test_what_one_scan_misses_is_the_same_nodule_in_the_next() -> None:
    chains = chain_points([points(0, 30), points(131), points(201, 262)], [SHIFTED, SHIFTED], 5)
    assert [chain.index for chain in chains] == [(0, None, 0), (1, 0, None), (None, None, 1)]
    assert chains[0].distances_mm == (None, None, 1.0)
    assert chains[1].distances_mm == (None, 1.0, None)
    assert chains[0].places_xyz_mm[:, 0].tolist() == [0, 100, 201]
    assert chains[1].places_xyz_mm[:, 0].tolist() == [30, 131, 231]
    assert chains[2].places_xyz_mm[:, 0].tolist() == [62, 162, 262]


def test_each_scan_says_what_it_shows_of_a_nodule() -> None:
    still = [STILL] * 3
    middle, twice, late = chain_points([points(0), points(100), points(0, 101), points(60)], still, 5)[:3]
    assert states_of(middle, [True] * 4) == ["found", "missed", "found", "gone"]
    assert states_of(twice, [True] * 4) == ["not-yet", "new", "found", "gone"]
    assert states_of(twice, [False, True, True, False]) == ["not-imaged", "found", "found", "not-imaged"]
    assert states_of(late, [False, False, True, True]) == ["not-imaged", "not-imaged", "not-yet", "new"]
    assert states_of(late, [False, False, False, True]) == ["not-imaged"] * 3 + ["found"]


def test_scans_without_nodules_have_no_chains() -> None:
    assert chain_points([NONE, NONE, NONE], [STILL] * 2, 12) == []
    assert [chain.index for chain in chain_points([NONE, points(1)], [STILL], 12)] == [(None, 0)]
