"""Logistic regressions after the training of a cancer network: weights of hand-crafted features, calibration."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import NAMES
from lungline.evaluation.intervals import resamples
from lungline.training.patients import Patient, patient_logits

_PRIOR_SD = 10.0  # of the weight of a column in units of its spread: wide
_SCALE_SD, _SHIFT_SD = 0.5, 1.0  # how far from no change a few patients may lead
_ROUNDS, _DIGITS = 200, 4


@dataclass(frozen=True)
class Regression:
    """A logit that is a weighed sum: weights (k,) of the columns in their own units, and a bias."""

    weights: NDArray[np.float64]
    bias: float

    def logits(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits (n,) float64 of rows (n, k)."""
        return np.asarray(columns @ self.weights + self.bias)


def regress(
    labels: NDArray[np.int64], columns: NDArray[np.float64], *, about: NDArray[np.float64] | None = None
) -> Regression:
    """The most probable regression of labels (n,), 0 or 1, on columns (n, k) of any units.

    `about` (k,) are the weights, in the columns' own units, that are likely before anything is known: 0 unless told.
    The prior is wide, and as wide for each column in units of its spread.
    """
    mean, spread = columns.mean(axis=0), columns.std(axis=0)
    sd = np.where(spread > 0, spread, 1.0)  # a column that never changes tells nothing
    design = np.column_stack([(columns - mean) / sd, np.ones(len(columns))])
    before = np.append(np.zeros(len(sd)) if about is None else about * sd, 0.0)
    found = most_probable(labels, design, about=before, sd=np.full_like(before, _PRIOR_SD))
    weights = found[:-1] / sd
    return Regression(weights, float(found[-1] - weights @ mean))


def most_probable(
    labels: NDArray[np.int64], design: NDArray[np.float64], *, about: NDArray[np.float64], sd: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The most probable weights (k,) of a logistic regression of labels (n,), 0 or 1, on `design` (n, k).

    `about` and `sd` (k,) are mean and standard deviation of the weights before anything is known: this normal prior
    keeps them finite where the labels are told apart without a mistake. Newton's method on a strictly convex function.
    """
    theta, precision = about.astype(np.float64), np.diag(1.0 / np.square(sd))

    def loss(at: NDArray[np.float64]) -> float:
        s = design @ at
        away = at - about
        return float(np.sum(np.logaddexp(0, s) - labels * s) + away @ precision @ away / 2)

    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(design @ theta, -50, 50)))
        gradient = design.T @ (p - labels) + precision @ (theta - about)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + precision
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while loss(theta - size * step) > loss(theta) and size > 1e-6:
            size /= 2
        theta = theta - size * step
        if np.abs(step).max() < 1e-9:
            break
    return theta


def fit_hand_crafted(
    model: CancerNet, patients: Sequence[Patient], device: torch.device, test_time_augmentation: int = 1
) -> dict[str, float]:
    """Set `model.hand_crafted_features` to the most probable weights, given label and deciding candidate of each
    patient.

    The model is trained, and built with `hand_crafted_features`; `test_time_augmentation` as the patients will be
    scored. What a card says of it comes back: the weight of the `logit`, of each feature by name, and the `bias`.
    """
    assert model.hand_crafted_features is not None
    rows = []
    with torch.inference_mode():
        for patient in patients:
            logits = patient_logits(model, patient.cubes, device, test_time_augmentation)
            deciding = int(logits.argmax())
            assert patient.features is not None
            rows.append([float(logits[deciding]), *patient.features[deciding].tolist()])
    labels = np.array([patient.label for patient in patients], dtype=np.int64)
    found = regress(labels, np.array(rows), about=np.array([1.0, *np.zeros(len(NAMES))]))
    scale, *per_unit = found.weights.tolist()
    model.hand_crafted_features.scale.fill_(scale)
    model.hand_crafted_features.weight.copy_(torch.tensor(per_unit))
    model.hand_crafted_features.bias.fill_(found.bias)
    values = (scale, *per_unit, found.bias)
    return {name: round(float(w), 4) for name, w in zip(("logit", *NAMES, "bias"), values, strict=True)}


def fit_scale_and_shift(labels: NDArray[np.int64], logits: NDArray[np.float64]) -> tuple[float, float]:
    """The most probable a and b of sigmoid(a s + b), from labels (n,) 0 or 1 and logits s (n,).

    Platt scaling (Platt 1999, in Advances in Large Margin Classifiers) with a normal prior about no change, a = 1 and
    b = 0, so that it stays defined when the few validation patients are told apart without a mistake.
    """
    design = np.stack([logits, np.ones_like(logits)], axis=1)
    scale, shift = most_probable(labels, design, about=np.array([1.0, 0.0]), sd=np.array([_SCALE_SD, _SHIFT_SD]))
    return float(scale), float(shift)


def resampled_fits(labels: NDArray[np.int64], logits: NDArray[np.float64], seed: int) -> list[list[float]]:
    """Scale and shift, fitted to 200 bootstrap resamples of the validation cases."""
    draws = resamples(len(labels), rounds=_ROUNDS, seed=seed)
    return [[round(value, _DIGITS) for value in fit_scale_and_shift(labels[draw], logits[draw])] for draw in draws]


def interval_of(logit: float, fits: NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the calibrated score of a logit, by resampled fits (n, 2) of scale and shift."""
    low, high = np.percentile(expit(fits[:, 0] * logit + fits[:, 1]), (2.5, 97.5))
    return float(low), float(high)
