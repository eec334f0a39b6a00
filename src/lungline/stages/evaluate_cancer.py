"""Measure the patients' probabilities: metrics with intervals, beside baselines that need no picture."""

from __future__ import annotations

from pathlib import Path

from lungline.evaluation.patients import SPLITS, measure_split, refuse_trained_on, training_prior
from lungline.io.atomic import write_text
from lungline.io.predictions import read_predictions
from lungline.io.truth import largest_diameters
from lungline.reporting.metric_tables import cancer_markdown, cancer_table
from lungline.reporting.results import about_data, read_result, write_result


def run(
    output: Path,
    predictions: Path,
    *,
    truth: Path | None = None,
    model: Path | None = None,
    embedded: bool | None = None,
    seed: int = 0,
) -> None:
    """Read PREDICTIONS, write OUTPUT (JSON) and the same beside it as a table (.csv) and to be read (.md).

    TRUTH (truth.csv of the embedded cohort) adds what the diameter of the largest nodule alone would reach.
    MODEL (folder) makes sure that no test patient was trained on. EMBEDDED says whether the scans are synthetic.
    """
    rows = [row for row in read_predictions(predictions) if row.status != "not-scored"]
    if model is not None:
        test = [row.scan for row in rows if row.split == "test"]
        refuse_trained_on(test, read_result(model / "card.json"), str(model))
    prior = training_prior([row for row in rows if row.split != "test"])
    largest_mm = None if truth is None else largest_diameters(truth)
    result = {
        "what": "cancer prediction, one probability a patient",
        "systems": sorted({row.system for row in rows}),
        "data": about_data((row.dataset for row in rows), embedded),
        "intervals": "95 %: Wilson (accuracy), DeLong (AUC), bootstrap over patients (the others)",
        "prior": prior,
        "seed": seed,
        "splits": {
            split: measure_split(
                [row for row in rows if row.split == split], prior=prior, largest_mm=largest_mm, seed=seed
            )
            for split in SPLITS
        },
    }
    write_result(output, result)
    write_text(output.with_suffix(".csv"), cancer_table(result))
    write_text(output.with_suffix(".md"), cancer_markdown(result))
    print(cancer_markdown(result))
