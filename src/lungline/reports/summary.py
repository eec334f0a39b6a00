"""Summary of a finished run: where the predictions are, and their metrics."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.names import SCORE_NAMES, Supervision
from lungline.storage.predictions import Prediction
from lungline.storage.results import read_result


def summarise(outdir: Path) -> str:
    """A few lines about a result tree; what has not been made is left out, "" if there are no predictions."""
    predictions = outdir / "predictions.csv"
    if not predictions.is_file():
        return ""
    with open(predictions, newline="", encoding="utf-8") as handle:
        statuses = Counter(row["status"] for row in csv.DictReader(handle))
    counts = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    lines = [f"Predictions: {predictions} ({counts})"]
    lines += [_detection(path) for path in sorted(outdir.glob("evaluate/detection-*.json"))]
    lines += [_cancer(path) for path in sorted(outdir.glob("evaluate/cancer-*.json"))]
    lines += [f"To look at, in a browser: {path}" for path in sorted(outdir.glob("pages/*/index.html"))]
    return "\n".join([*lines, NOTICE])


def format_answer(row: Prediction, supervision: Supervision) -> str:
    """The answer for one scan in a line: score or status, number of candidates judged, flags."""
    answer = row.status if row.score is None else f"{SCORE_NAMES[supervision].replace('_', ' ')} {row.score:.3f}"
    candidates = [] if row.n_candidates is None else [f"{row.n_candidates} candidates judged"]
    return ", ".join([answer, *candidates, *row.flags])


def _detection(path: Path) -> str:
    result = read_result(path)
    found = result["candidates"]
    return (
        f"Nodules found by {path.stem.removeprefix('detection-')}, {result['split']} scans: {found['found']} of "
        f"{found['nodules']}, recall {_figure(found['recall'])}. More: {path.with_suffix('.md')}"
    )


def _cancer(path: Path) -> str:
    test = read_result(path)["splits"].get("test")
    name = path.stem.removeprefix("cancer-")
    if test is None:
        return f"Cancer by {name}: no labelled test patients. More: {path.with_suffix('.md')}"
    ours, prior = test["metrics"], test["baselines"]["constant_prior"]
    ruler = _figure(prior["log_loss"]) if "log_loss" in prior else f"not known ({prior['reason']})"
    line = (
        f"Cancer by {name}, {test['scored']} test patients: ROC AUC {_figure(ours['auc'])}, log loss "
        f"{_figure(ours['log_loss'])}, constant prior {ruler}"
    )
    if "diameter_alone" in test:
        line += f"; AUC of the largest diameter alone {_figure(test['diameter_alone']['auc'])}"
    return f"{line}. More: {path.with_suffix('.md')}"


def _figure(figure: Mapping[str, Any]) -> str:
    """A value and its 95 % interval."""
    if figure["value"] is None:
        return f"not known ({figure['reason']})"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
