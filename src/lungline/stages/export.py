"""Give answers back their original identifiers: the one way out of the pseudonyms, for their owner alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.io.predictions import Prediction, read_predictions
from lungline.io.private import read_map
from lungline.io.secret import open_to_others, write_secret
from lungline.nodules.candidates import read_candidates
from lungline.reporting.export import cancer_submission, nodule_submission, original_names, predictions_table


def run(results: Path, *, out: Path, private: Path | None = None) -> None:
    """Write OUT/predictions.csv and, of each data set, {dataset}-cancer.csv and {dataset}-nodules-{detector}.csv.

    Folders that are made have mode 0700, files 0600. In a name, what a terminal or a spreadsheet would act upon
    (line ends, a leading = + - @, control characters) stands as \\xNN.

    Parameters
    ----------
    results : Path
        The folder `outdir` of a finished run.
    out : Path
        A new folder, or one of yours that nobody else can read.
    private : Path or None
        The private folder; RESULTS/private unless your sheet lies elsewhere.
    """
    if out.exists() and (not out.is_dir() or open_to_others(out)):
        raise LunglineError(f"{out}: expected a new folder, or one of mode 700. Others have rights on this one.")
    rows = read_predictions(results / "predictions.csv")
    known = read_map(results / "private" if private is None else private)
    names = original_names(rows, {scan: original.name for scan, original in known.items()})
    tables = {"predictions.csv": predictions_table(rows, names)}
    for dataset in sorted({row.dataset for row in rows}):
        of_set = [row for row in rows if row.dataset == dataset]
        answered = [row for row in of_set if row.split == "test" and row.probability is not None]
        if answered:
            tables[f"{dataset}-cancer.csv"] = cancer_submission(answered, names)
        for folder, scans in _searched(results, of_set):
            candidates = {scan: read_candidates(folder / f"{scan}.csv") for scan in scans}
            tables[f"{dataset}-nodules-{folder.name}.csv"] = nodule_submission(candidates, names)
    for name, text in tables.items():
        write_secret(out / name, text)
    silent = sum(row.status == "quarantined" for row in rows)
    print(f"{out}: {', '.join(tables)}. Original names: do not share. {NOTICE}", file=sys.stderr)
    if silent:
        print(f"{silent} quarantined scans have no probability and no line in a -cancer.csv.", file=sys.stderr)


def _searched(results: Path, rows: list[Prediction]) -> Iterator[tuple[Path, list[str]]]:
    """Each detector's folder of candidates, those of its last stage, and the scans of `rows` that it searched."""
    last = {path.name: path for stage in ("extract", "rank") for path in results.glob(f"{stage}_candidates/*")}
    for _, detector in sorted(last.items()):
        scans = [row.scan for row in rows if (detector / f"{row.scan}.csv").is_file()]
        if scans:
            yield detector, scans
