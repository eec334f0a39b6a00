"""How far above the diameter can anything be? `python -m experiments.real_nodules.ceiling`

Beside each nodule's rating of malignancy stand eight other ratings by readers who had it before them (calcification,
spiculation, margin, texture and so on). A logistic regression of these and the diameter, out of fold by patients, has
the readers' own reasons. Where even its interval over the diameter holds 0, a classifier must know more than they wrote
down to be shown above it. Asked for all nodules, and for those of the test patients of the weights in the package.
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from experiments.real_nodules.figures import ROUNDS, over_patients
from experiments.real_nodules.nodules import FOLDS, fold_of
from lungline.evaluation.auc import auc, auc_difference
from lungline.synthetic.source_nodules import read_nodule_rows
from lungline.training.calibration import regress
from tests.repository import REPOSITORY, sample_folder

RATINGS = (
    "Calcification",
    "InternalStructure",
    "Lobulation",
    "Margin",
    "Sphericity",
    "Spiculation",
    "Subtlety",
    "Texture",
)
NOT_CALCIFIED = 6.0  # the rating "absent" of calcification
SPLITS = REPOSITORY / "src" / "lungline" / "pretrained" / "sources.csv"


@dataclass(frozen=True)
class RatedByReaders:
    """A nodule as readers described it.

    Attributes
    ----------
    columns : (k,) float64
        Logarithm of the diameter, the ratings of `RATINGS`, and 1 where no calcification was seen.
    """

    name: str
    patient: str
    malignant: int
    diameter_mm: float
    columns: NDArray[np.float64]


def read(folder: Path) -> list[RatedByReaders]:
    """The nodules of FOLDER/nodules.csv that are measured elsewhere in this folder, too."""
    with open(folder / "nodules.csv", newline="", encoding="utf-8") as handle:
        ratings = {
            f"{row['patient_id']}_R_{row['nodule_id']}": [float(row[f"{name}_value"]) for name in RATINGS]
            for row in csv.DictReader(handle)
        }
    return [
        RatedByReaders(
            row.name,
            row.patient,
            row.malignant,
            row.diameter_mm,
            np.array([np.log(row.diameter_mm), *ratings[row.name], ratings[row.name][0] == NOT_CALCIFIED]),
        )
        for row in read_nodule_rows(folder)
    ]


def out_of_fold(nodules: list[RatedByReaders], seed: int) -> NDArray[np.float64]:
    """One logit per nodule, (n,), by a regression that was fitted to the patients of the other folds."""
    folds = np.array([fold_of(nodule.patient, seed) for nodule in nodules])
    labels = np.array([nodule.malignant for nodule in nodules])
    columns = np.array([nodule.columns for nodule in nodules])
    logits = np.empty(len(nodules))
    for fold in range(FOLDS):
        others = folds != fold
        logits[~others] = regress(labels[others], columns[others]).logits(columns[~others])
    return logits


def test_nodules() -> set[str]:
    """Names of the nodules whose patients test the weights in the package."""
    with open(SPLITS, newline="", encoding="utf-8") as handle:
        return {row["source"] for row in csv.DictReader(handle) if row["split"] == "test"}


def table(nodules: list[RatedByReaders], seed: int, rounds: int = ROUNDS) -> str:
    """Markdown."""
    logits, tested = out_of_fold(nodules, seed), test_nodules()
    lines = ["| nodules | malignant, benign | diameter | with readers' ratings | difference (DeLong) | over patients |",
             "|---|---|---|---|---|---|"]  # fmt: skip
    for name, own in (("all", nodules), ("of the test patients", [n for n in nodules if n.name in tested])):
        chosen = np.array([nodule in own for nodule in nodules])
        labels = np.array([nodule.malignant for nodule in own])
        ruler, told = np.array([nodule.diameter_mm for nodule in own]), logits[chosen]

        def difference(at: NDArray[np.int64], y=labels, a=told, b=ruler) -> float:  # type: ignore[no-untyped-def]
            value = auc_difference(y[at], a[at], b[at]).value
            return float("nan") if value is None else value

        over = over_patients(own, difference, seed=seed, rounds=rounds)
        lines.append(
            f"| {name} | {labels.sum()}, {len(own) - labels.sum()} | {auc(labels, ruler)} | {auc(labels, told)} "
            f"| {auc_difference(labels, told, ruler)} | {over} |"
        )
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.real_nodules.ceiling", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the folds and the bootstrap")
    options = parser.parse_args()
    folder = sample_folder()
    if folder is None:
        parser.error("the sample data are not at hand. Name their folder in LUNGLINE_SAMPLE_DATA.")
    print(table(read(folder / "lidc-nodules"), options.seed), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
