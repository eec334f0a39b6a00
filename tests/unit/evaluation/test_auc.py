"""The AUC is scikit-learn's, its variance is DeLong's literal formula."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score, roc_curve

from lungline.evaluation.auc import auc, auc_difference, placements, roc_points


def cohort(seed: int, n: int = 60, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(n) < 0.35).astype(int)
    scores = rng.normal(size=n) + labels
    return labels, np.round(scores, 1) if ties else scores


def literal_delong(labels: np.ndarray, *scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs (k,) and their covariance (k, k), pair by pair, as the paper writes it."""
    psi = []
    for score in scores:
        up, down = score[labels == 1][:, None], score[labels == 0][None, :]
        psi.append((up > down) + 0.5 * (up == down))
    v10 = np.stack([p.mean(axis=1) for p in psi])
    v01 = np.stack([p.mean(axis=0) for p in psi])
    return v10.mean(axis=1), np.atleast_2d(np.cov(v10)) / v10.shape[1] + np.atleast_2d(np.cov(v01)) / v01.shape[1]


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_auc_is_that_of_scikit_learn(seed, ties):
    labels, scores = cohort(seed, ties=ties)
    assert auc(labels, scores).value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_interval_is_delongs_literal_formula(seed):
    labels, scores = cohort(seed)
    value, covariance = literal_delong(labels, scores)
    estimate = auc(labels, scores)
    half = 1.959963984540054 * np.sqrt(covariance[0, 0])
    assert estimate.low == pytest.approx(max(0, value[0] - half), abs=1e-12)
    assert estimate.high == pytest.approx(min(1, value[0] + half), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_difference_uses_the_pairing(seed):
    labels, scores = cohort(seed)
    other = scores + np.random.default_rng(seed + 50).normal(size=len(scores))
    values, covariance = literal_delong(labels, scores, other)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    estimate = auc_difference(labels, scores, other)
    assert estimate.value == pytest.approx(values[0] - values[1], abs=1e-12)
    assert estimate.high - estimate.value == pytest.approx(1.959963984540054 * np.sqrt(variance), abs=1e-12)


def test_placements_by_hand():
    positive, negative = placements(np.array([1, 1, 0, 0]), np.array([2.0, 1.0, 1.0, 0.0]))
    assert positive.tolist() == [1.0, 0.75]
    assert negative.tolist() == [0.75, 1.0]


def test_perfect_ranking_has_no_interval_but_a_reason():
    estimate = auc(np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert (estimate.value, estimate.low) == (1.0, None)
    assert "variance" in estimate.reason


@pytest.mark.parametrize("labels", [[], [1], [0, 0, 0]])
def test_one_class_or_nobody_gives_a_reason(labels):
    scores = np.linspace(0, 1, len(labels))
    for estimate in (auc(np.array(labels), scores), auc_difference(np.array(labels), scores, scores)):
        assert estimate.value is None
        assert estimate.reason


def test_one_positive_gives_a_value_without_interval():
    estimate = auc(np.array([1, 0, 0]), np.array([0.5, 0.1, 0.9]))
    assert estimate.value == 0.5
    assert estimate.low is None


def test_roc_points_are_those_of_scikit_learn():
    labels, scores = cohort(1)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    false, true = roc_points(labels, scores)
    np.testing.assert_allclose(false, fpr)
    np.testing.assert_allclose(true, tpr)
