"""Intervals agree with published and hand-computed cases."""

import numpy as np
import pytest

from lungline.evaluation.intervals import Estimate, bootstrap, percentile_interval, resamples, wilson


def test_wilson_interval_of_the_papers_accuracy():
    """152 of 198: the reader must see that the interval contains the all-negative 71.2 %."""
    estimate = wilson(152, 198)
    assert (estimate.low, estimate.high) == (pytest.approx(0.704, abs=5e-4), pytest.approx(0.821, abs=5e-4))
    assert estimate.low < 141 / 198 < estimate.high


def test_wilson_interval_of_none_and_all_stays_inside_zero_and_one():
    assert wilson(0, 10).low == 0
    assert wilson(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert wilson(10, 10).high == pytest.approx(1)
    assert wilson(10, 10).low == pytest.approx(1 - 0.2775, abs=1e-4)


def test_wilson_of_nothing_gives_a_reason():
    estimate = wilson(0, 0)
    assert estimate.value is None
    assert estimate.reason


def test_resamples_are_seeded():
    assert np.array_equal(resamples(9, rounds=5, seed=3), resamples(9, rounds=5, seed=3))
    assert not np.array_equal(resamples(9, rounds=5, seed=3), resamples(9, rounds=5, seed=4))


def test_bootstrap_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    estimate = bootstrap(float(values.mean()), resamples(400, rounds=2000, seed=1), lambda i: float(values[i].mean()))
    half = 1.96 * values.std() / 20
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.01)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.01)


def test_bootstrap_of_one_case_gives_a_reason_instead_of_an_interval():
    estimate = bootstrap(0.5, resamples(1, rounds=10, seed=0), lambda i: 0.5)
    assert (estimate.value, estimate.low) == (0.5, None)
    assert "two" in estimate.reason


def test_percentile_interval_holds_the_middle():
    estimate = percentile_interval(0.5, np.linspace(0, 1, 1001))
    assert (estimate.low, estimate.high) == (pytest.approx(0.025), pytest.approx(0.975))


def test_an_estimate_reads_as_value_and_interval():
    assert str(Estimate(0.8123, 0.7, 0.9)) == "0.812 (0.700 to 0.900)"
    assert str(Estimate(0.8123)) == "0.812"
    assert str(Estimate(None)) == "-"
