"""Plot the ROC, reliability, FROC and learning curves."""

from pathlib import Path
from typing import Literal

from lungline.errors import LunglineError
from lungline.evaluation.patient_metrics import scored
from lungline.reports.performance_curves import plot_froc, plot_learning_curves, plot_roc_and_reliability
from lungline.reports.plotting import save_png
from lungline.runner.stage import stage
from lungline.storage.frames import read_curve, training_name
from lungline.storage.predictions import read_predictions
from lungline.storage.results import read_result


@stage
def run(
    output: Path,
    *,
    predictions: Path | None = None,
    detection: Path | None = None,
    learning_curves: tuple[Path, ...] = (),
    split: Literal["train", "valid", "test"] = "test",
) -> None:
    """Write into the folder OUTPUT: roc_reliability.png, froc.png, learning_curves.png, each if its input is given.

    PREDICTIONS is a predictions.csv, of which SPLIT is plotted; DETECTION a result of `evaluate-detection`;
    LEARNING_CURVES are learning_curve.csv files.
    """
    if predictions is None and detection is None and not learning_curves:
        raise LunglineError("nothing to plot: give --predictions, --detection or --learning-curves.")
    if predictions is not None:
        rows = read_predictions(predictions)
        classifiers = ", ".join(sorted({row.classifier for row in rows if row.split == split}))
        answers = scored(rows, split)
        labels, scores = answers["label"].to_numpy(), answers["score"].to_numpy()
        figure = plot_roc_and_reliability(labels, scores, f"{classifiers}, {split}")
        save_png(figure, output / "roc_reliability.png")
    if detection is not None:
        result = read_result(detection)
        save_png(plot_froc(result["froc"], f"FROC, {result['split']}"), output / "froc.png")
    if learning_curves:
        curves = {training_name(path): read_curve(path) for path in learning_curves}
        save_png(plot_learning_curves(curves), output / "learning_curves.png")
