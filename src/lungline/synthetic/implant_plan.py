"""Which nodules go into which chest: every implanted scan, without reading a voxel.

Patients, not nodules, are dealt to the splits by a seeded hash, so that additions never reshuffle.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.config.models import Implanted
from lungline.errors import LunglineError
from lungline.splits import LUNA_FOLDS, LUNA_TEST_FOLD, Split
from lungline.storage.saved_config import read_saved_config
from lungline.synthetic.source_nodules import NoduleRow, read_nodule_rows

SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_PERCENT = {"test": 20, "valid": 10}


@dataclass(frozen=True)
class ImplantationPlan:
    """One implanted scan: who receives what. `path` is relative to the folder of the data set."""

    index: int
    scan: str
    split: Split
    fold: int
    chest: str
    nodules: tuple[NoduleRow, ...]
    distractors: tuple[NoduleRow, ...]
    source: str = "mhd"
    dataset: str = "luna16"
    label: int | None = None

    @property
    def path(self) -> str:
        return f"luna16/subset{self.fold}/{self.scan}.mhd"

    @property
    def sources(self) -> tuple[NoduleRow, ...]:
        """All nodules of which anything is implanted."""
        return (*self.nodules, *self.distractors)

    @property
    def digest(self) -> list[Any]:
        """Changes when another nodule is implanted."""
        return [self.chest, *(row.name for row in self.sources)]


def split_of_source(patient: str, seed: int) -> Split:
    """Split of a patient with all of his nodules: one in five tests, one in ten is for choices."""
    percent = int.from_bytes(hashlib.sha256(f"{seed} {patient}".encode()).digest()[:8], "big") % 100
    if percent < _PERCENT["test"]:
        return "test"
    return "valid" if percent < _PERCENT["test"] + _PERCENT["valid"] else "train"


def read_implantation(config: Path) -> tuple[int, Implanted]:
    """Seed and part `implanted:` of a saved configuration."""
    whole = read_saved_config(config)
    if whole.implanted is None:
        raise LunglineError(f"{config}: expected a configuration with a part 'implanted'. Found none.")
    return whole.seed, whole.implanted


def plan_implantation(seed: int, settings: Implanted) -> list[ImplantationPlan]:
    """Every scan that the part `implanted:` of the configuration asks for.

    Each nodule of a split is implanted once before one is implanted again, in an order drawn from the seed. Chests take
    turns; one takes only nodules of `smallest_mm` and more. The chest that is to `leave_out` is not trained on: its
    scans of train and valid are missing, the others are what they would be; it alone is tested on.
    """
    rows = read_nodule_rows(Path(settings.nodules))
    plans: list[ImplantationPlan] = []
    left_out = settings.leave_out
    if left_out is not None and left_out not in settings.chests:
        raise LunglineError(f"implanted.leave_out: no chest is called '{left_out}'. Take a name from implanted.chests.")
    for number, split in enumerate(SPLITS):
        asked = getattr(settings.scans, split)
        own = [row for row in rows if split_of_source(row.patient, seed) == split]
        chests = [name for name, chest in settings.chests.items() if split in chest.splits]
        if left_out and split == "test":
            chests = [left_out]
        if asked.scans and not (own and chests):
            raise LunglineError(
                f"implanted: no nodule or no chest for the split '{split}'. Name one in implanted.chests."
            )
        rng = np.random.default_rng([seed, number])
        waiting: list[NoduleRow] = []
        for index in range(asked.scans):
            chest = chests[index % len(chests)]
            smallest = settings.chests[chest].smallest_mm
            chosen: list[NoduleRow] = []
            if sum(row.diameter_mm >= smallest for row in waiting) < asked.nodules:
                waiting += [own[i] for i in rng.permutation(len(own))]
            for row in list(waiting):
                if len(chosen) < asked.nodules and row.diameter_mm >= smallest and row not in chosen:
                    chosen.append(row)
                    waiting.remove(row)
            distractors = [own[i] for i in rng.choice(len(own), min(asked.distractors, len(own)), replace=False)]
            fold = {"valid": LUNA_TEST_FOLD - 1, "test": LUNA_TEST_FOLD}.get(split, index % (LUNA_FOLDS - 2))
            scan = f"implanted-{split}-{index:03d}"
            if split == "test" or chest != left_out:
                plans.append(ImplantationPlan(index, scan, split, fold, chest, tuple(chosen), tuple(distractors)))
    return plans


def refuse_shared_patients(plans: Sequence[ImplantationPlan]) -> None:
    """`LunglineError` if a patient's nodule stands in two splits."""
    seen: dict[str, str] = {}
    for plan in plans:
        for row in plan.sources:
            if seen.setdefault(row.patient, plan.split) != plan.split:
                raise LunglineError(f"implanted: {row.patient} stands in {seen[row.patient]} and {plan.split}.")
