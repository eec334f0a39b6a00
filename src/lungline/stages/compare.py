"""Compare classifiers on the same test patients, beside the paper's figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.marks import read_scan_scores
from lungline.evaluation.paired_comparison import Compared, against, averaged, complete, constant_rows, measured
from lungline.names import known
from lungline.reports.comparison_table import comparison_markdown, comparison_table, plot_forest
from lungline.reports.metric_tables import csv_text
from lungline.reports.plotting import save_png
from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.frames import read_cost
from lungline.storage.predictions import Prediction, read_predictions
from lungline.storage.results import read_result
from lungline.storage.saved_config import read_saved_config
from lungline.workflow.opening import open_layout

Files = Mapping[str, Any]


@stage
def run(output: Path, *, config: Path) -> None:
    """Write OUTPUT (.csv), the same to be read (.md) and as a forest plot (.png), of the classifiers that CONFIG
    compares.

    CONFIG is the checked configuration that the workflow writes.
    """
    layout = open_layout(read_saved_config(config))
    reference, synthetic = layout.study.config.compare.reference, layout.study.scans_from == "synthetic"
    compare_classifiers(output, layout.compared(), reference, synthetic=synthetic)


@stage
def compare_classifiers(
    output: Path, classifiers: Mapping[str, Files], reference: str | None = None, *, synthetic: bool | None = None
) -> None:
    """Write the comparison of classifiers.

    CLASSIFIERS names each classifier's files: {"m2": {"predictions": CSV, "detection": JSON, "benchmarks": [TSV, ...],
    "kind": "candidate", "seed": 1, "repeats": "m2"}}; all but the predictions may be left out. Classifiers that repeat
    the same one are trainings of it with other seeds: a row more shows their mean. REFERENCE (the first if left out) is
    what the others are subtracted from. The paper's classifiers that are not named, and answers that need no picture,
    get a row, too. SYNTHETIC says whether the scans are synthetic.
    """
    if not classifiers:
        raise LunglineError("nothing to compare: name at least one classifier.")
    reference = known(reference or next(iter(classifiers)), classifiers, "compare: no compared classifier is called")
    predictions = {name: _answered(Path(files["predictions"])) for name, files in classifiers.items()}
    rows = {name: _row(name, files, predictions[name], synthetic) for name, files in classifiers.items()}
    trainings: dict[str, list[Compared]] = {}
    for name, files in classifiers.items():
        trainings.setdefault(files.get("repeats") or name, []).append(rows[name])
    means = {name: averaged(some) for name, some in trainings.items() if len(some) > 1}
    constants = [
        row for row in constant_rows(predictions[reference], synthetic=synthetic) if row.classifier not in classifiers
    ]
    alone = against([*rows.values(), *constants], rows[reference])
    together = against([*means.values()], means.get(reference, rows[reference]))
    compared = complete([*alone, *together])
    table = comparison_table(compared, reference)
    page = comparison_markdown(table, reference)
    write_checksummed_text(output, csv_text(table))
    write_checksummed_text(output.with_suffix(".md"), page)
    save_png(plot_forest(compared), output.with_suffix(".png"))
    print(page)


def _answered(path: Path) -> list[Prediction]:
    return [row for row in read_predictions(path) if row.status != "not-scored"]


def _row(name: str, files: Files, rows: list[Prediction], synthetic: bool | None) -> Compared:
    result = read_result(Path(files["detection"])) if files.get("detection") else None
    scores = {} if result is None else {"cpm": result["froc"]["cpm"], "recall": result["candidates"]["recall"]}
    return measured(
        name,
        rows,
        synthetic=synthetic,
        kind=files.get("kind", ""),
        seed="" if files.get("seed") is None else str(files["seed"]),
        found=None if result is None else read_scan_scores(result["froc"]),
        detection={metric: Estimate(**score) for metric, score in scores.items()},
        training=read_cost([Path(path) for path in files.get("benchmarks", ())]),
    )
