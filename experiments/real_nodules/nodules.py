"""The nodules: read and resampled by lungline, dealt into folds by patient, and a guard against leaks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging.intensity import scale_hu
from lungline.imaging.resampling import resample
from lungline.synthetic.source_nodules import NEVER_TRAINED, NoduleRow, read_nodule, read_nodule_rows

FOLDS = 5


@dataclass(frozen=True, eq=False)
class RealNodule:
    """One nodule on a 1 mm grid.

    Attributes
    ----------
    name, patient : str
    malignant : int
        1 if two or more readers rated the malignancy above 3 of 5, else 0. An opinion, no pathology.
    diameter_mm : float
        The readers', from the table.
    scaled, mask : (Z, Y, X) float32 and bool
        HU scaled to 0..1, and what the readers outlined. In z the volume ends about where the nodule ends.
    split : str
        `train`, `valid` or `test`; empty before it is dealt.
    """

    name: str
    patient: str
    malignant: int
    diameter_mm: float
    scaled: NDArray[np.float32]
    mask: NDArray[np.bool_]
    split: str = ""


def read_nodules(folder: Path) -> list[RealNodule]:
    """All nodules of `nodules.csv` (volumes in `image/`, masks in `nodule_mask/`) but those of `NEVER_TRAINED`."""
    return [_read(folder, row) for row in read_nodule_rows(folder)]


def _read(folder: Path, row: NoduleRow) -> RealNodule:
    ct, mask = read_nodule(folder, row)
    scaled, outlined = scale_hu(resample(ct).array), resample(mask).array >= 0.5
    return RealNodule(row.name, row.patient, row.malignant, row.diameter_mm, scaled, outlined)


def fold_of(patient: str, seed: int) -> int:
    """Fold 0..4 of a patient, with all of his nodules: a hash, so that additions never reshuffle."""
    return int.from_bytes(hashlib.sha256(f"{seed} {patient}".encode()).digest()[:8], "big") % FOLDS


def deal(nodules: Sequence[RealNodule], test_fold: int, seed: int) -> dict[str, list[RealNodule]]:
    """The nodules by split: fold `test_fold` is for the test, the one before it for every choice, three for training.

    Raises
    ------
    LunglineError
        See `refuse_leaks`.
    """
    split_of_fold = {test_fold: "test", (test_fold - 1) % FOLDS: "valid"}
    splits: dict[str, list[RealNodule]] = {"train": [], "valid": [], "test": []}
    for nodule in nodules:
        split = split_of_fold.get(fold_of(nodule.patient, seed), "train")
        splits[split].append(replace(nodule, split=split))
    refuse_leaks(splits)
    return splits


def refuse_leaks(splits: dict[str, list[RealNodule]]) -> None:
    """`LunglineError` if a patient stands in two splits, or is one that must never be trained on."""
    holders: dict[str, set[str]] = defaultdict(set)
    for split, nodules in splits.items():
        for nodule in nodules:
            holders[nodule.patient].add(split)
    shared = sorted(patient for patient, names in holders.items() if len(names) > 1)
    if shared:
        raise LunglineError(
            f"{len(shared)} patients stand in more than one of {', '.join(splits)}, e.g. {shared[0]}. Deal patients, "
            "not nodules."
        )
    forbidden = sorted(NEVER_TRAINED & set(holders))
    if forbidden:
        raise LunglineError(f"{', '.join(forbidden)} must never be trained on. Leave these patients out.")
