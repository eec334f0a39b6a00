"""Logistic regression with a normal prior."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
