"""Write the page of a cohort: all scans in a table, links to their pages, how good the predictions are."""

import os
from pathlib import Path

from lungline.reports.index_page import COMPARED, index_page
from lungline.runner.stage import stage
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.predictions import read_predictions
from lungline.storage.results import read_result

#: Of the table of `compare`.
COLUMNS = ["classifier", "patients", *(f"{name}{end}" for name in COMPARED for end in ("", "_low", "_high"))]


@stage
def run(
    output: Path,
    *,
    predictions: Path,
    nodules: Path | None = None,
    pages: Path | None = None,
    detection: Path | None = None,
    comparison: Path | None = None,
) -> None:
    """Write OUTPUT (.html) from the table PREDICTIONS.

    NODULES is a folder of tables of `describe-nodules`, PAGES one of pages of `render-page`, both of any of the scans;
    DETECTION is the result of `evaluate-detection`, COMPARISON the table of `compare`.
    """
    rows = read_predictions(predictions)
    found = {row.scan: path for row in rows if nodules and (path := nodules / f"{row.scan}.json").is_file()}
    shown = {row.scan: path for row in rows if pages and (path := pages / f"{row.scan}.html").is_file()}
    tables = {scan: read_result(path) for scan, path in found.items()}
    links = {scan: Path(os.path.relpath(path, output.parent)).as_posix() for scan, path in shown.items()}
    result = None if detection is None else read_result(detection)
    compared = None
    if comparison:
        from lungline.storage.frames import read_frame  # pandas, which `predict` does not need

        compared = read_frame(comparison, COLUMNS)
    write_checksummed_text(output, index_page(rows, tables, links, result, compared))
