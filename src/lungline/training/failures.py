"""Trainings that went wrong although they ended: told from their answers and from their learning curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation.auc import auc
from lungline.storage.hdf5 import Code

SMALLEST_SPREAD = 0.02
CHANCE_AUC = 0.55
OVERFIT_RATIO = 0.5
OVERFIT_GAP = 0.1


def learned_all_negative(labels: NDArray, probability: NDArray, of: str) -> list[Code]:
    """Whether a system says the same of everybody, as the paper's method 1 did at full size.

    M_ALL_NEGATIVE when the largest probability (n,) is less than 0.02 above the smallest; or when the accuracy at 0.5
    is that of the majority class for everybody and the ROC AUC is below 0.55. Else, and of fewer than two patients,
    nothing. The message says `of` which patients, e.g. "validation patients".
    """
    if len(labels) < 2:
        return []
    spread = float(probability.max() - probability.min())
    if spread < SMALLEST_SPREAD:
        return [Code("M_ALL_NEGATIVE", f"{len(labels)} {of}: probabilities span {spread:.3g}")]
    accuracy = float(np.mean((probability >= 0.5) == (labels == 1)))
    majority = max(float(np.mean(labels)), 1 - float(np.mean(labels)))
    ranking = auc(labels, probability).value
    if np.isclose(accuracy, majority) and ranking is not None and ranking < CHANCE_AUC:
        detail = f"accuracy {accuracy:.3f} is that of the majority class, ROC AUC {ranking:.3f}"
        return [Code("M_ALL_NEGATIVE", f"{len(labels)} {of}: {detail}")]
    return []


def overfitted(curve: Sequence[Mapping[str, float]]) -> list[Code]:
    """Whether a cancer network knows its training patients by heart.

    M_OVERFIT when, at the last validation, the training loss (Eq. 1) is less than half the validation loss and more
    than 0.1 below it: the generalisation gap by which overfitting is defined (Goodfellow, Bengio and Courville, Deep
    Learning, 2016, section 5.2). The message adds Prechelt's generalisation loss, 100 (E / E_best - 1) of the
    validation loss ("Early stopping - but when?", in Neural Networks: Tricks of the Trade, 1998). The sizes of the gap
    are ours.
    """
    train, valid = curve[-1]["train_loss"], curve[-1]["valid_loss"]
    if train >= OVERFIT_RATIO * valid or valid - train <= OVERFIT_GAP:
        return []
    best = min(row["valid_loss"] for row in curve)
    risen = 100 * (valid / best - 1) if best > 0 else 0.0
    detail = f"training loss {train:.3g}, validation loss {valid:.3g}, {risen:.0f} % above its best"
    return [Code("M_OVERFIT", detail)]
