"""Sensitivity at a given specificity, and the other way round, as LUNA25's evaluation takes them.

The rules are those of evaluate.py of the challenge's evaluation (DIAGNijmegen/luna25-evaluation-public, as copied in
chpark-ML/luna25-challenge, commit 1e1da2a), which walks scikit-learn's `roc_curve`. That curve leaves out thresholds
between two equal steps, so the rules may pass over one that would do better; so do these.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation.intervals import Estimate, percentile_interval, resamples

#: Specificity, and sensitivity, at which the other one is reported.
AT = 0.95
#: The points, in the order of `operating_points`.
POINTS = ("specificity 0.95", "sensitivity 0.95")


@dataclass(frozen=True)
class OperatingPoint:
    """One point of the curve: what is positive (a score of `threshold` or more), and what comes of it.

    `threshold` is None where nothing is called positive.
    """

    threshold: float | None
    sensitivity: Estimate
    specificity: Estimate


def curve(labels: NDArray, scores: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """False positive rate, true positive rate and threshold, from "nothing is positive" (threshold inf) on.

    `labels` (n,) are 0 or 1, both present; `scores` (n,).
    """
    thresholds = np.unique(scores)[::-1]
    counts = []
    for value in (0, 1):
        ordered = np.sort(scores[labels == value])
        counts.append(len(ordered) - np.searchsorted(ordered, thresholds, "left"))
    if len(thresholds) > 2:
        bends = np.any([np.diff(one, 2) != 0 for one in counts], axis=0)
        kept = np.concatenate([[True], bends, [True]])
        counts, thresholds = [one[kept] for one in counts], thresholds[kept]
    false, true = (np.concatenate([[0.0], one / one[-1]]) for one in counts)
    return false, true, np.concatenate([[np.inf], thresholds])


def operating_points(labels: NDArray, scores: NDArray, *, seed: int = 0, rounds: int = 1000) -> list[OperatingPoint]:
    """The two points of LUNA25: at 95 % specificity the last one of the curve, at 95 % sensitivity the first one.

    `labels` (n,) are 0 or 1, `scores` (n,). Intervals are of a bootstrap over cases, the threshold chosen anew in each
    draw; draws of one class are left out. Without two classes there is no point.
    """
    if len(np.unique(labels)) < 2:
        return []
    draws = resamples(len(labels), rounds=rounds, seed=seed)
    drawn = [_two_points(labels[d], scores[d]) for d in draws if 0 < labels[d].sum() < len(d)]
    found = []
    for k, (threshold, *rates) in enumerate(_two_points(labels, scores)):
        replicates = np.array([points[k][1:] for points in drawn]).T
        intervals = [percentile_interval(rate, each) for rate, each in zip(rates, replicates, strict=True)]
        found.append(OperatingPoint(threshold if np.isfinite(threshold) else None, *intervals))
    return found


def _two_points(labels: NDArray, scores: NDArray) -> list[tuple[float, float, float]]:
    """Threshold, sensitivity and specificity of both points."""
    false, true, thresholds = curve(labels, scores)
    chosen = np.flatnonzero(false <= 1 - AT)[-1], np.flatnonzero(true >= AT)[0]
    return [(float(thresholds[k]), float(true[k]), float(1 - false[k])) for k in chosen]
