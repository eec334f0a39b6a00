"""Calibration of a patient's logit by a scale and a shift, fitted to validation patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lungline.evaluation.intervals import resamples
from lungline.training.logistic import most_probable

_SCALE_SD, _SHIFT_SD = 0.5, 1.0  # how far from no change a few patients may lead
_ROUNDS, _DIGITS = 200, 4


def fit_scale_and_shift(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> tuple[float, float]:
    """The most probable a and b of sigmoid(a s + b), from labels (n,) 0 or 1 and logits s (n,).

    Notes
    -----
    Platt scaling (Platt 1999, in Advances in Large Margin Classifiers) with a normal prior about no change, a = 1 and
    b = 0, so that it stays defined when the few validation patients are told apart without a mistake.
    """
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    scale, shift = most_probable(labels, design, about=np.array([1.0, 0.0]), sd=np.array([_SCALE_SD, _SHIFT_SD]))
    return float(scale), float(shift)


def resampled_fits(labels: NDArray[np.int64], logits: NDArray[np.float64], seed: int) -> list[list[float]]:
    """Scale and shift as 200 other draws of the same validation cases would have given them (bootstrap)."""
    draws = resamples(len(labels), rounds=_ROUNDS, seed=seed)
    return [[round(value, _DIGITS) for value in fit_scale_and_shift(labels[draw], logits[draw])] for draw in draws]


def interval_of(logit: float, fits: NDArray[np.float64]) -> tuple[float, float]:
    """The middle 95 % of the probabilities that resampled fits (n, 2) make of a logit that is not calibrated yet."""
    low, high = np.percentile(expit(fits[:, 0] * logit + fits[:, 1]), (2.5, 97.5))
    return float(low), float(high)
