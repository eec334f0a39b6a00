"""Even grids for slices: what is filled, what is resampled, what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungline.errors import Quarantine
from lungline.readers.stack import Stack, deskew, uniform_grid


def flags(depths):
    return [flag.flag for flag in uniform_grid(np.asarray(depths, dtype=float))[1]]


def refusal(depths):
    with pytest.raises(Quarantine) as caught:
        uniform_grid(np.asarray(depths, dtype=float))
    return caught.value.flag


def test_an_even_stack_is_left_alone():
    assert flags(np.arange(50) * 1.25) == []
    assert flags(np.round(np.arange(79) * 3.98734, 3)) == []  # rounded by the scanner


def test_a_gap_is_filled_up_to_two_slices_side_by_side_and_two_percent():
    whole = np.arange(300) * 2.0
    assert flags(np.delete(whole, [100, 101])) == ["W_GAP_FILLED"]
    assert flags(np.delete(whole, [100, 101, 200, 201, 250, 260])) == ["W_GAP_FILLED"]
    assert refusal(np.delete(whole, [100, 101, 102])) == "Q_MISSING_SLICES"
    assert refusal(np.delete(whole, [50, 80, 100, 101, 200, 201, 250])) == "Q_MISSING_SLICES"


def test_of_a_short_stack_one_slice_is_filled_from_fifteen_on():
    assert flags(np.delete(whole := np.arange(15) * 8.0, 9)) == ["W_GAP_FILLED"]
    assert refusal(np.delete(whole, [5, 9])) == "Q_MISSING_SLICES"
    assert refusal(np.delete(whole[:14], 9)) == "Q_MISSING_SLICES"


def test_where_the_distance_doubles_for_good_nothing_is_missing():
    changed = np.concatenate([np.arange(20) * 5.0, np.arange(1, 60) * 2.5 + 95])
    assert flags(changed) == ["W_NONUNIFORM"]
    assert flags(np.delete(changed, 30)) == ["W_NONUNIFORM", "W_GAP_FILLED"]
    assert refusal(np.delete(changed, [30, 33, 36, 39])) == "Q_MISSING_SLICES"


def test_uneven_distances_up_to_a_factor_of_two_are_resampled():
    assert flags(np.cumsum([0, 2, 2, 2.5, 2, 3, 2, 2])) == ["W_NONUNIFORM"]
    assert refusal(np.cumsum([0, 2, 2, 2.5, 2, 5.3, 2, 2])) == "Q_NONUNIFORM_SPACING"


def test_two_slices_are_no_volume():
    assert refusal([0, 1]) == "Q_TOO_FEW_SLICES"
    assert refusal([]) == "Q_TOO_FEW_SLICES"


def test_a_slice_very_far_away_makes_no_endless_grid():
    assert refusal([0, 0.02, 0.04, 0.06, 9e4]) == "Q_NONUNIFORM_SPACING"


@given(
    st.lists(st.floats(0.05, 9), min_size=2, max_size=30),
    st.floats(-500, 500),
)
def test_a_grid_spans_the_slices_evenly_or_is_refused(gaps, first):
    depths = first + np.concatenate([[0], np.cumsum(gaps)])
    try:
        grid, _ = uniform_grid(depths)
    except Quarantine:
        return
    assert grid[0] == depths[0]
    assert grid[-1] == pytest.approx(depths[-1])
    np.testing.assert_allclose(np.diff(grid), np.diff(grid)[0])
    assert 0.5 * min(gaps) <= np.diff(grid)[0] <= 2 * max(gaps)


def tilted(degrees):
    along_j = np.array([0, np.cos(np.deg2rad(degrees)), -np.sin(np.deg2rad(degrees))])
    positions = np.outer(np.arange(8) * 2.0, (0, 0, 1.0))
    hu = np.full((8, 9, 10), -100, dtype=np.int16)
    return Stack(hu, positions, np.array([1.0, 0, 0]), along_j, (1.0, 1.0))


def test_a_tilt_is_corrected_up_to_a_limit():
    image, found = deskew(tilted(20))
    assert [flag.flag for flag in found] == ["W_TILT"]
    assert image.array.shape == (8, 9 + 5, 10)  # 14 mm of table times sin 20 degrees is 4.8 rows
    assert set(np.unique(image.array)) >= {-1024, -100}
    with pytest.raises(Quarantine, match="Q_BAD_TILT"):
        deskew(tilted(50))
    assert deskew(tilted(0))[1] == []
