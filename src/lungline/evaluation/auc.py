"""Area under the ROC curve and its variance (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988, 837)."""

import math

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation.intervals import Z_95, Estimate


def auc(labels: NDArray, scores: NDArray) -> Estimate:
    """Probability that a positive scores above a negative (ties count half), with DeLong's interval.

    Labels (n,) are 0 or 1, scores (n,), or (k, n) of k trainings, whose mean AUC it is then.
    """
    if reason := _refusal(labels):
        return Estimate(None, reason=reason)
    alike = "DeLong's variance is 0: every positive and every negative is ranked alike"
    few = "DeLong's interval needs two cases of each class"
    return _with_interval(*_mean_placements(labels, scores), 0.0, few=few, alike=alike)


def auc_difference(labels: NDArray, scores: NDArray, other_scores: NDArray) -> Estimate:
    """AUC of `scores` minus AUC of `other_scores` on the same cases, with DeLong's paired interval.

    Each (n,), or (k, n) of k trainings, whose mean AUC counts then.
    """
    if reason := _refusal(labels):
        return Estimate(None, reason=reason)
    positive, negative = (
        one - other
        for one, other in zip(_mean_placements(labels, scores), _mean_placements(labels, other_scores), strict=True)
    )
    why = "too few cases, or no difference in rank, for DeLong's interval"
    return _with_interval(positive, negative, -1.0, few=why, alike=why)


def placements(labels: NDArray, scores: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """DeLong's structural components: of each positive the share of negatives below it, and the other way round.

    Ties count half; the mean of each is the AUC.
    """
    up, down = scores[labels == 1], scores[labels == 0]
    return _share_below(up, down), 1 - _share_below(down, up)


def _mean_placements(labels: NDArray, scores: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean AUC of several trainings is a mean over cases as well: of the means of their components."""
    each = [placements(labels, row) for row in np.atleast_2d(scores)]
    return np.mean([up for up, _ in each], axis=0), np.mean([down for _, down in each], axis=0)


def _share_below(points: NDArray, others: NDArray) -> NDArray[np.float64]:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, points, "left") + np.searchsorted(ordered, points, "right")
    return np.asarray(below / (2 * len(others)))


def roc_points(labels: NDArray, scores: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False positive rate and true positive rate at every distinct score, from (0, 0) to (1, 1)."""
    thresholds = np.unique(scores)[::-1]
    rates = []
    for value in (0, 1):
        ordered = np.sort(scores[labels == value])
        above = len(ordered) - np.searchsorted(ordered, thresholds, "left")
        rates.append(np.concatenate([[0.0], above / len(ordered)]))
    return rates[0], rates[1]


def _with_interval(positive: NDArray, negative: NDArray, least: float, *, few: str, alike: str) -> Estimate:
    """The mean of the components with DeLong's interval within least..1, or why it has none."""
    value = float(positive.mean())
    if min(len(positive), len(negative)) < 2:
        return Estimate(value, reason=few)
    variance = sum(float(part.var(ddof=1) / len(part)) for part in (positive, negative))
    if variance <= 0:
        return Estimate(value, reason=alike)
    half = Z_95 * math.sqrt(variance)
    return Estimate(value, max(least, value - half), min(1.0, value + half), "DeLong")


def _refusal(labels: NDArray) -> str:
    if len(labels) == 0:
        return "no case"
    return "all cases have one class" if len(np.unique(labels)) < 2 else ""
