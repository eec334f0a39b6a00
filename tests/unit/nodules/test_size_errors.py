"""Intervals of measured sizes: where the table says so, and as wide as it says."""

import numpy as np
import pytest

from lungline.nodules import size_errors
from lungline.nodules.size_error_table import COLUMNS, ROWS
from lungline.nodules.size_errors import diameter_interval, repeat_error, volume_interval


@pytest.fixture
def two_rows(monkeypatch) -> None:
    rows = (
        ("solid", 2.0, 8.0, 9, 0.1, 0.2, 0.3, 0.4, 0.15),
        ("solid", np.inf, np.inf, 9, 0.0, 0.5, 0.0, 0.6, 0.5),
        ("other", np.inf, np.inf, 9, -0.1, 0.1, -0.2, 0.3, 0.2),
    )
    monkeypatch.setattr(size_errors, "ROWS", rows)


def test_an_interval_is_that_of_the_first_row_that_fits_without_its_bias(two_rows) -> None:
    assert diameter_interval(7.9, 2.0, "solid") == pytest.approx(7.9 * np.exp([-0.1 - 0.392, -0.1 + 0.392]))
    for size, slices in ((8.0, 2.0), (7.9, 2.5)):
        assert diameter_interval(size, slices, "solid") == pytest.approx(size * np.exp([-0.98, 0.98]))
    for kind in ("part-solid", "ground-glass", "indeterminate"):
        assert diameter_interval(5.0, 1.0, kind) == pytest.approx(5 * np.exp([0.1 - 0.196, 0.1 + 0.196]))


def test_the_size_of_a_volume_is_that_of_its_ball(two_rows) -> None:
    ball = np.pi / 6 * 8.0**3
    assert volume_interval(0.99 * ball, 1.0, "solid")[1] == pytest.approx(0.99 * ball * np.exp(-0.3 + 0.784))
    assert volume_interval(1.01 * ball, 1.0, "solid")[1] == pytest.approx(1.01 * ball * np.exp(1.176))


def test_what_differs_from_date_to_date_has_its_own_column_and_unknown_slices_are_thick(two_rows) -> None:
    assert repeat_error(np.pi / 6 * 7.9**3, 2.0, "solid") == 0.15
    assert repeat_error(np.pi / 6 * 8.1**3, 2.0, "solid") == 0.5
    assert repeat_error(np.pi / 6 * 7.9**3, None, "solid") == 0.5
    assert repeat_error(np.pi / 6 * 7.9**3, None, "ground-glass") == 0.2


def test_the_table_has_a_row_for_every_nodule_from_measurements_enough() -> None:
    for kind in ("solid", "part-solid", "ground-glass", "indeterminate"):
        for slice_mm in (0.3, 1.0, 5.0, 20.0):
            for size in (0.5, 6.0, 80.0):
                low, high = diameter_interval(size, slice_mm, kind)
                assert 0 < low < high
                assert 0 < repeat_error(np.pi / 6 * size**3, slice_mm, kind) < 1
    assert min(row[COLUMNS.index("count")] for row in ROWS) >= 25
