"""Compare systems on the same test patients, beside the paper's figures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.marks import read_scan_scores
from lungline.evaluation.paired_comparison import Compared, against, averaged, complete, constant_rows, measured
from lungline.names import known
from lungline.reports.comparison_table import comparison_markdown, comparison_table, draw_forest
from lungline.reports.drawing import save_png
from lungline.reports.metric_tables import csv_text
from lungline.runner.stage import stage
from lungline.storage.checksums import write_sealed_text
from lungline.storage.frames import read_cost
from lungline.storage.predictions import Prediction, read_predictions
from lungline.storage.results import read_result
from lungline.storage.saved_config import read_saved_config
from lungline.workflow.opening import open_layout

Files = Mapping[str, Any]


@stage
def run(output: Path, *, config: Path) -> None:
    """Write OUTPUT (.csv), the same to be read (.md) and as a forest plot (.png), of the systems that CONFIG compares.

    CONFIG is the checked configuration that the workflow writes.
    """
    layout = open_layout(read_saved_config(config))
    reference, embedded = layout.study.config.compare.reference, layout.study.source == "synthetic"
    compare_systems(output, layout.compared(), reference, embedded=embedded)


@stage
def compare_systems(
    output: Path, systems: Mapping[str, Files], reference: str | None = None, *, embedded: bool | None = None
) -> None:
    """Write the comparison of systems.

    SYSTEMS names each system's files: {"m2": {"predictions": CSV, "detection": JSON, "benchmarks": [TSV, ...],
    "kind": "patches", "seed": 1, "repeats": "m2"}}; all but the predictions may be left out. Systems that repeat the
    same one are trainings of it with other seeds: a row more shows their mean. REFERENCE (the first if left out) is
    what the others are subtracted from. The paper's systems that are not named, and answers that need no picture,
    get a row, too. EMBEDDED says whether the scans are synthetic.
    """
    if not systems:
        raise LunglineError("nothing to compare: name at least one system.")
    reference = known(reference or next(iter(systems)), systems, "compare: no compared system is called")
    predictions = {name: _answered(Path(files["predictions"])) for name, files in systems.items()}
    rows = {name: _row(name, files, predictions[name], embedded) for name, files in systems.items()}
    trainings: dict[str, list[Compared]] = {}
    for name, files in systems.items():
        trainings.setdefault(files.get("repeats") or name, []).append(rows[name])
    means = {name: averaged(some) for name, some in trainings.items() if len(some) > 1}
    constants = [row for row in constant_rows(predictions[reference], embedded=embedded) if row.system not in systems]
    alone = against([*rows.values(), *constants], rows[reference])
    together = against([*means.values()], means.get(reference, rows[reference]))
    compared = complete([*alone, *together])
    table = comparison_table(compared, reference)
    page = comparison_markdown(table, reference)
    write_sealed_text(output, csv_text(table))
    write_sealed_text(output.with_suffix(".md"), page)
    save_png(draw_forest(compared), output.with_suffix(".png"))
    print(page)


def _answered(path: Path) -> list[Prediction]:
    return [row for row in read_predictions(path) if row.status != "not-scored"]


def _row(name: str, files: Files, rows: list[Prediction], embedded: bool | None) -> Compared:
    result = read_result(Path(files["detection"])) if files.get("detection") else None
    scores = {} if result is None else {"cpm": result["froc"]["cpm"], "recall": result["candidates"]["recall"]}
    return measured(
        name,
        rows,
        embedded=embedded,
        kind=files.get("kind", ""),
        seed="" if files.get("seed") is None else str(files["seed"]),
        found=None if result is None else read_scan_scores(result["froc"]),
        detection={metric: Estimate(**score) for metric, score in scores.items()},
        training=read_cost([Path(path) for path in files.get("benchmarks", ())]),
    )
