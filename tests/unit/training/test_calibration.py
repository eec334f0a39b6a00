"""Scale and shift of logits, fitted on few patients."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from lungline.evaluation.cancer_metrics import log_loss
from lungline.training.calibration import fit_scale_and_shift, interval_of, resampled_fits


def test_a_scale_and_a_shift_are_found_again():
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, 20_000)
    labels = (rng.random(len(true)) < expit(true)).astype(np.int64)
    scale, shift = fit_scale_and_shift(labels, (true - 0.5) / 0.4)
    assert (scale, shift) == pytest.approx((0.4, 0.5), abs=0.05)


def test_it_is_the_most_probable_answer():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, 30)
    labels = (rng.random(30) < expit(0.3 * logits - 1)).astype(np.int64)

    def loss(theta):
        s = theta[0] * logits + theta[1]
        return np.sum(np.logaddexp(0, s) - labels * s) + 2 * (theta[0] - 1) ** 2 + theta[1] ** 2 / 2

    best = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
    assert fit_scale_and_shift(labels, logits) == pytest.approx(tuple(best.x), abs=1e-5)


def test_patients_told_apart_without_a_mistake_stay_finite_and_few_change_little():
    labels, logits = np.array([0, 0, 1, 1]), np.array([-30.0, -20.0, 20.0, 30.0])
    assert fit_scale_and_shift(labels, logits) == pytest.approx((1.0, 0.0), abs=0.01)
    scale, shift = fit_scale_and_shift(np.array([1]), np.array([-3.0]))
    assert 0.2 < scale < 1
    assert 0 < shift < 1


def test_overconfident_logits_are_made_less_so():
    rng = np.random.default_rng(3)
    true = rng.normal(0, 1, 60)
    labels = (rng.random(60) < expit(true)).astype(np.int64)
    scale, shift = fit_scale_and_shift(labels, 6 * true)
    assert scale < 0.6
    assert log_loss(labels, expit(scale * 6 * true + shift)) < log_loss(labels, expit(6 * true))


def test_the_interval_covers_what_other_cases_would_have_said():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(100):
        logits = rng.normal(0, 2, 60)
        labels = (rng.random(60) < expit(0.8 * logits - 0.3)).astype(np.int64)
        low, high = interval_of(1.0, np.array(resampled_fits(labels, logits, seed=trial)))
        covered += low <= expit(0.5) <= high
    assert covered >= 88


def test_more_cases_make_it_narrower_and_the_same_cases_the_same():
    rng = np.random.default_rng(4)
    widths = []
    for n in (20, 200, 2000):
        logits = rng.normal(0, 2, n)
        labels = (rng.random(n) < expit(logits)).astype(np.int64)
        fits = resampled_fits(labels, logits, seed=1)
        assert fits == resampled_fits(labels, logits, seed=1)
        low, high = interval_of(0.3, np.array(fits))
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]
