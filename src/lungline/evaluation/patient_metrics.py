"""From the rows of `predictions.csv` to the results of a classifier, split by split."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lungline.detection.slices import AXES
from lungline.errors import LunglineError
from lungline.evaluation import cancer_metrics
from lungline.evaluation.auc import auc, auc_difference
from lungline.splits import refuse_test_rows
from lungline.storage.predictions import Prediction
from lungline.storage.results import read_result
from lungline.storage.weights import cases_trained_on

SPLITS = ("test", "valid", "train")


def training_prior(rows: Sequence[Prediction]) -> float | None:
    """Share of cancer among labelled patients; None when there is none.

    It is a choice, so `LunglineError` if a row is of the test split.
    """
    refuse_test_rows(rows, "the constant prior")
    labels = [row.label for row in rows if row.label is not None]
    return float(np.mean(labels)) if labels else None


def scored(rows: Sequence[Prediction], split: str) -> pd.DataFrame:
    """The labelled patients of a split that have an answer: `label` (0 or 1) and `score` (0..1) by scan."""
    table = pd.DataFrame(
        [(row.label, row.score) for row in rows if row.split == split],
        columns=["label", "score"],
        index=[row.scan for row in rows if row.split == split],
        dtype=np.float64,
    )
    return table.dropna().astype({"label": np.int64})


def measure_split(
    rows: Sequence[Prediction],
    split: str,
    *,
    prior: float | None,
    largest_mm: Mapping[str, float] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Results on the labelled patients of one split, ready for JSON: numbers, metrics, baselines, reliability table.

    Patients that are quarantined have no score: they are counted, not measured. `prior` is that of
    `training_prior`; `largest_mm` the diameter of each patient's largest nodule, 0 mm of who is not in it.
    """
    labelled = [row for row in rows if row.split == split and row.label is not None]
    answers = scored(rows, split)
    y, p = answers["label"].to_numpy(), answers["score"].to_numpy()
    answer: dict[str, Any] = {
        "labelled": len(labelled),
        "scored": len(answers),
        "cancer": int(y.sum()),
        "not_scored": {row.scan: list(row.flags) for row in labelled if row.score is None},
        "metrics": {name: estimate.as_json() for name, estimate in cancer_metrics.measure(y, p, seed=seed).items()},
        "baselines": cancer_metrics.baselines(y, prior, seed=seed),
        "reliability": [asdict(row) for row in cancer_metrics.reliability(y, p)],
    }
    if largest_mm is not None:
        diameter = np.array([largest_mm.get(scan, 0.0) for scan in answers.index])
        answer["diameter_alone"] = {
            "auc": auc(y, diameter).as_json(),
            "auc_of_classifier_minus_diameter": auc_difference(y, p, diameter).as_json(),
        }
    return answer


def refuse_trained_on(scans: Sequence[str], card: Mapping[str, Any], where: str) -> None:
    """`LunglineError` if any of these scans stands among the training or validation cases of a model card."""
    seen = sorted(cases_trained_on(card) & set(scans))
    if seen:
        raise LunglineError(
            f"{where}: {len(seen)} of the scans to be scored were used to train the model ({', '.join(seen[:3])}). "
            "Score scans that it has never seen."
        )


def refuse_scans_of(detector: Path | None, scans: Sequence[str]) -> None:
    """`LunglineError` if a network in the folder of a detector was trained or validated on any of these scans."""
    if detector is not None:
        for part in (*AXES, *(["fpr"] if (detector / "fpr").is_dir() else [])):
            refuse_trained_on(scans, read_result(detector / part / "card.json"), str(detector / part))


def refuse_copies(rows: Sequence[Prediction]) -> None:
    """`LunglineError` if a labelled test patient has the pixels of a case that the models were trained on."""
    seen = [
        row.scan for row in rows if row.split == "test" and row.label is not None and "W_TRAINING_CASE" in row.flags
    ]
    if seen:
        raise LunglineError(
            f"{len(seen)} of the labelled test patients have the pixels of training cases ({', '.join(seen[:3])}), see "
            "W_TRAINING_CASE. Score patients that the models have never seen, or take away these labels."
        )
