"""LUNA25's operating points are those that its evaluation takes from scikit-learn's curve."""

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from lungline.evaluation.operating_points import curve, operating_points


def cohort(seed: int, digits: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 300))
    labels = (rng.random(n) < rng.uniform(0.1, 0.6)).astype(int)
    labels[:2] = 0, 1
    return labels, np.round(rng.normal(size=n) + labels, digits)


@pytest.mark.parametrize("digits", [0, 1, 9])
@pytest.mark.parametrize("seed", range(20))
def test_the_curve_is_that_of_scikit_learn(seed, digits):
    labels, scores = cohort(seed, digits)
    for ours, theirs in zip(curve(labels, scores), roc_curve(labels, scores), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(20))
def test_both_points_follow_the_rules_of_the_challenge(seed):
    labels, scores = cohort(seed, seed % 3)
    false, true, thresholds = roc_curve(labels, scores)
    most, first = np.where(false <= 1 - 0.95)[0][-1], np.where(true >= 0.95)[0][0]
    at_specificity, at_sensitivity = operating_points(labels, scores, rounds=2)
    assert (at_specificity.sensitivity.value, at_specificity.specificity.value) == (true[most], 1 - false[most])
    assert (at_sensitivity.sensitivity.value, at_sensitivity.specificity.value) == (true[first], 1 - false[first])
    assert at_specificity.threshold == (thresholds[most] if most else None)
    assert at_sensitivity.threshold == thresholds[first]


def test_points_by_hand():
    """Of 20 benign one is above the threshold at 95 % specificity; of 2 malignant one lies there."""
    labels = np.array([1, 0, 1, 0] + [0] * 18)
    scores = np.array([0.9, 0.8, 0.7, 0.6] + [0.1] * 18)
    at_specificity, at_sensitivity = operating_points(labels, scores)
    assert (at_specificity.threshold, at_specificity.sensitivity.value) == (0.7, 1.0)
    assert at_specificity.specificity.value == pytest.approx(0.95)
    assert (at_sensitivity.threshold, at_sensitivity.specificity.value) == (0.7, at_specificity.specificity.value)


def test_intervals_are_percentiles_over_drawn_cases_with_both_classes():
    labels, scores = cohort(3, 1)
    rng = np.random.default_rng(7)
    found = []
    for draw in rng.integers(0, len(labels), size=(200, len(labels))):
        if len(set(labels[draw])) == 2:
            false, true, _ = roc_curve(labels[draw], scores[draw])
            found.append(true[np.where(false <= 1 - 0.95)[0][-1]])
    estimate = operating_points(labels, scores, seed=7, rounds=200)[0].sensitivity
    assert (estimate.low, estimate.high) == tuple(np.quantile(found, [0.025, 0.975]))


def test_one_class_has_no_point():
    assert operating_points(np.zeros(3, int), np.array([0.1, 0.2, 0.3])) == []
