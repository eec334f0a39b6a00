"""How good the patients' probabilities are: log loss, accuracy, ROC AUC, Brier score, calibration."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.errors import LunglineError
from lungline.evaluation.auc import auc, auc_difference
from lungline.evaluation.intervals import Estimate, bootstrap, resamples, wilson
from lungline.storage.hdf5 import Flag

CLIP = 1e-15  # as the Data Science Bowl clipped probabilities
ROUNDS = 1000
BINS = 10
SMALLEST_SPREAD, CHANCE_AUC = 0.02, 0.55
Metric = Callable[[NDArray, NDArray], float]
METRICS = ("log_loss", "accuracy", "auc", "brier", "calibration_error")


def log_loss(labels: NDArray, probability: NDArray) -> float:
    """Mean natural-logarithm cross entropy of labels (n,) and probabilities (n,), clipped to [1e-15, 1 - 1e-15]."""
    p = np.clip(probability, CLIP, 1 - CLIP)
    return float(-np.mean(np.where(labels == 1, np.log(p), np.log1p(-p))))


def accuracy(labels: NDArray, probability: NDArray) -> float:
    """Share of patients whose probability (n,) lies on the side of 0.5 of their label (n,); 0.5 says cancer."""
    return float(np.mean((probability >= 0.5) == (labels == 1)))


def brier(labels: NDArray, probability: NDArray) -> float:
    """Mean squared difference of probability (n,) and label (n,)."""
    return float(np.mean((probability - labels) ** 2))


@dataclass(frozen=True)
class Bin:
    """One row of the reliability table: patients whose probability lies in [low, high)."""

    low: float
    high: float
    n: int
    mean_probability: float | None
    share_positive: float | None


def reliability(labels: NDArray, probability: NDArray, bins: int = BINS) -> list[Bin]:
    """Reliability table: mean probability and share of positives in `bins` equal intervals; 1.0 is in the last."""
    slot = np.minimum((probability * bins).astype(int), bins - 1)
    table = []
    for b in range(bins):
        inside = slot == b
        n = int(inside.sum())
        predicted, true = (float(probability[inside].mean()), float(labels[inside].mean())) if n else (None, None)
        table.append(Bin(b / bins, (b + 1) / bins, n, predicted, true))
    return table


def calibration_error(labels: NDArray, probability: NDArray, bins: int = BINS) -> float:
    """Expected calibration error: |mean probability - share of positives|, averaged over patients, bin by bin."""
    slot = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = np.bincount(slot, weights=probability - labels, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def measure(
    labels: ArrayLike, probability: ArrayLike, *, minus: ArrayLike | None = None, seed: int = 0, rounds: int = ROUNDS
) -> dict[str, Estimate]:
    """All metrics with their 95 % intervals, by the names of `METRICS`; accuracy is at 0.5.

    Parameters
    ----------
    labels : (n,) int
        0 or 1. Zero cases and a single class give metrics without a value, and the reason.
    probability : (n,) or (k, n) float
        Of cancer, 0..1; of k trainings of one classifier, whose mean metrics are measured then.
    minus : (n,) or (k, n) float, or None
        Another classifier's probabilities of the same patients: its metrics are subtracted, with paired intervals.

    Notes
    -----
    Wilson's interval for one training's accuracy, DeLong's for the AUC, bootstrap over patients for the others and for
    all differences but the AUC's. Raises as `checked`.
    """
    y, p = checked(labels, probability)
    q = None if minus is None else checked(labels, minus)[1]
    if len(y) == 0:
        return dict.fromkeys(METRICS, Estimate(None, reason="no case"))
    draws = resamples(len(y), rounds=rounds, seed=seed)

    def drawn(metric: Metric) -> Estimate:
        def of(cases: NDArray | slice) -> float:
            own = _mean(metric, y[cases], p[..., cases])
            return own if q is None else own - _mean(metric, y[cases], q[..., cases])

        return bootstrap(of(slice(None)), draws, of)

    counted = p.ndim == 1 and q is None
    return {
        "log_loss": drawn(log_loss),
        "accuracy": wilson(int(np.sum((p >= 0.5) == (y == 1))), len(y)) if counted else drawn(accuracy),
        "auc": auc(y, p) if q is None else auc_difference(y, p, q),
        "brier": drawn(brier),
        "calibration_error": drawn(calibration_error),
    }


def _mean(metric: Metric, labels: NDArray, probability: NDArray) -> float:
    """The metric of probabilities (n,) of one training, or its mean over trainings (k, n)."""
    return float(np.mean([metric(labels, row) for row in np.atleast_2d(probability)]))


def baselines(labels: ArrayLike, prior: float | None, *, seed: int = 0) -> dict[str, dict[str, Any]]:
    """Metrics of two baselines: 0 for everyone, and the training patients' share of cancer (if any) for everyone."""
    y = np.asarray(labels, dtype=int)
    table: dict[str, dict[str, Any]] = {}
    for name, value in (("all_negative", 0.0), ("constant_prior", prior)):
        if value is None:
            table[name] = {"probability": None, "reason": "no labelled training patient in the table"}
            continue
        metrics = measure(y, np.full(len(y), value), seed=seed)
        metrics.pop("calibration_error")
        table[name] = {"probability": value, **{key: estimate.as_json() for key, estimate in metrics.items()}}
    return table


def checked(labels: ArrayLike, probability: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (n,) and probabilities (n,) or (k, n) as arrays.

    `LunglineError` if labels are not 0 or 1, probabilities not in 0..1, or their numbers differ.
    """
    y, p = np.asarray(labels), np.asarray(probability, dtype=np.float64)
    if y.shape != p.shape[-1:] or p.ndim > 2:
        raise LunglineError(f"expected as many labels as probabilities. Got shapes {y.shape} and {p.shape}.")
    if not np.all(np.isin(y, (0, 1))):
        raise LunglineError(f"labels should be 0 or 1. Got {sorted(set(y.tolist()) - {0, 1})[:5]}.")
    if not np.all((p >= 0) & (p <= 1)):
        raise LunglineError(f"probabilities should lie in 0..1. Got {p[~((p >= 0) & (p <= 1))][:5].tolist()}.")
    return y.astype(np.int64), p


def learned_all_negative(labels: NDArray, probability: NDArray, of: str) -> list[Flag]:
    """Whether a classifier gives everybody the same score, as the paper's method 1 did at full size.

    M_ALL_NEGATIVE when the largest probability (n,) is less than 0.02 above the smallest; or when the accuracy at 0.5
    is that of the majority class for everybody and the ROC AUC is below 0.55. Else, and of fewer than two patients,
    nothing. The message says `of` which patients, e.g. "validation patients".
    """
    if len(labels) < 2:
        return []
    spread = float(probability.max() - probability.min())
    if spread < SMALLEST_SPREAD:
        return [Flag("M_ALL_NEGATIVE", f"{len(labels)} {of}: probabilities span {spread:.3g}")]
    right = accuracy(labels, probability)
    majority = max(float(np.mean(labels)), 1 - float(np.mean(labels)))
    ranking = auc(labels, probability).value
    if np.isclose(right, majority) and ranking is not None and ranking < CHANCE_AUC:
        detail = f"accuracy {right:.3f} is that of the majority class, ROC AUC {ranking:.3f}"
        return [Flag("M_ALL_NEGATIVE", f"{len(labels)} {of}: {detail}")]
    return []
