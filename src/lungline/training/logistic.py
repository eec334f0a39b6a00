"""Logistic regression with a normal prior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_PRIOR_SD = 10.0  # of the weight of a column in units of its spread: wide


@dataclass(frozen=True)
class Regression:
    """A logit that is a weighed sum.

    Attributes
    ----------
    weights : (k,) float64
        Of the columns, in their own units.
    bias : float
    """

    weights: NDArray[np.float64]
    bias: float

    def logits(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of rows (n, k): (n,) float64."""
        return np.asarray(columns @ self.weights + self.bias)


def regress(
    labels: NDArray[np.int64], columns: NDArray[np.float64], *, about: NDArray[np.float64] | None = None
) -> Regression:
    """The most probable regression of labels (n,), 0 or 1, on columns (n, k) of any units.

    Parameters
    ----------
    about : (k,) float64, optional
        The weights, in the columns' own units, that are likely before anything is known: 0 unless told. The prior
        is wide, and as wide for each column in units of its spread.
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

    Parameters
    ----------
    about, sd : (k,) float64
        Mean and standard deviation of the weights before anything is known. The prior keeps them finite where the
        labels are told apart without a mistake.

    Notes
    -----
    Newton's method on a strictly convex function; the same input gives the same answer.
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
