"""Evaluate the scores of patients: metrics with intervals, beside baselines that see no image."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lungline.evaluation.cancer_metrics import learned_all_negative
from lungline.evaluation.patient_metrics import (
    SPLITS,
    measure_split,
    refuse_copies,
    refuse_trained_on,
    scored,
    training_prior,
)
from lungline.reports.metric_tables import cancer_markdown, cancer_table
from lungline.runner.stage import stage
from lungline.storage.frames import largest_diameters
from lungline.storage.predictions import Prediction, read_predictions
from lungline.storage.results import about_data, read_result, write_result


@stage
def run(
    output: Path,
    predictions: Path,
    *,
    ground_truth: Path | None = None,
    model: Path | None = None,
    synthetic: bool | None = None,
    seed: int = 0,
) -> None:
    """Read PREDICTIONS, write OUTPUT (JSON) and the same beside it as a table (.csv) and to be read (.md).

    GROUND_TRUTH (ground_truth.csv of the synthetic cohort) adds what the diameter of the largest nodule alone would
    reach. MODEL (folder) makes sure that no test patient was trained on; its warnings are repeated. SYNTHETIC says
    whether the scans are synthetic.
    """
    rows = [row for row in read_predictions(predictions) if row.status != "not-scored"]
    refuse_copies(rows)
    card = {} if model is None else read_result(model / "card.json")
    refuse_trained_on([row.scan for row in rows if row.split == "test"], card, str(model))
    prior = training_prior([row for row in rows if row.split != "test"])
    largest_mm = None if ground_truth is None else largest_diameters(ground_truth)
    result = {
        "what": "cancer prediction, one probability per patient",
        "classifiers": sorted({row.classifier for row in rows}),
        "data": about_data((row.dataset for row in rows), synthetic),
        "intervals": "95 %: Wilson (accuracy), DeLong (AUC), bootstrap over patients (the others)",
        "prior": prior,
        "seed": seed,
        "warnings": _warnings(card, rows),
        "splits": {one: measure_split(rows, one, prior=prior, largest_mm=largest_mm, seed=seed) for one in SPLITS},
    }
    page = cancer_markdown(result)
    write_result(output, result, csv=cancer_table(result), md=page)
    print(page)


def _warnings(card: Mapping[str, Any], rows: Sequence[Prediction]) -> list[list[str]]:
    """[flag, what was found] of the model's card, and of its answers split by split; a baseline has none."""
    found = [list(warning) for warning in card.get("warnings", ())]
    if card.get("classifier", {}).get("kind") == "baseline":
        return found
    for split in SPLITS:
        answers = scored(rows, split)
        labels, scores = (answers[name].to_numpy() for name in ("label", "score"))
        found += [[w.flag, w.detail] for w in learned_all_negative(labels, scores, f"{split} patients")]
    return found
