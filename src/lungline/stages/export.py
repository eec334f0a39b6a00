"""Give answers back their original identifiers: the one way out of the pseudonyms, for their owner alone."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from lungline import NOTICE
from lungline.errors import LunglineError, Quarantine
from lungline.io.dicom import nearest_slices
from lungline.io.predictions import Prediction, read_predictions
from lungline.io.private import read_map
from lungline.io.raw import is_dicom
from lungline.io.secret import open_to_others, write_secret
from lungline.io.zips import unpacked
from lungline.nodules.candidates import read_candidates
from lungline.nodules.table import NoduleRow, read_nodules
from lungline.reporting.export import (
    cancer_submission,
    nodule_submission,
    nodule_table,
    original_names,
    predictions_table,
)
from lungline.reporting.results import read_result


def run(results: Path, *, out: Path, private: Path | None = None) -> None:
    """Write OUT/predictions.csv and, of each data set, its submissions and nodule tables.

    Those are {dataset}-cancer.csv, {dataset}-nodules-{detector}.csv and {dataset}-nodule-table-{system}.csv. The last
    names the source slice (SOPInstanceUID) of every candidate of a DICOM scan whose files still lie where they were.

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
        for system, nodules in _described(results, of_set).items():
            slices = {scan: _slices(known[scan].path, those) for scan, those in nodules.items() if scan in known}
            tables[f"{dataset}-nodule-table-{system}.csv"] = nodule_table(nodules, slices, names)
    for name, text in tables.items():
        write_secret(out / name, text)
    silent = sum(row.status == "quarantined" for row in rows)
    print(f"{out}: {', '.join(tables)}. Original names: do not share. {NOTICE}", file=sys.stderr)
    if silent:
        print(f"{silent} quarantined scans have no probability and no line in a -cancer.csv.", file=sys.stderr)


def _described(results: Path, rows: list[Prediction]) -> dict[str, dict[str, list[NoduleRow]]]:
    """System -> scan -> nodule table, of the scans of `rows` that were described, by the workflow or by `predict`."""
    found: dict[str, dict[str, list[NoduleRow]]] = {}
    for row in rows:
        for path in sorted(
            [*results.glob(f"describe_nodules/*/{row.scan}.json"), results / f"nodules/{row.scan}.json"]
        ):
            if path.is_file() and (table := read_result(path))["nodules"]:
                found.setdefault(table["system"] or "none", {})[row.scan] = read_nodules(table)
    return dict(sorted(found.items()))


def _slices(raw: Path, nodules: list[NoduleRow]) -> list[tuple[str, int]]:
    """Where in the source series each candidate lies; nothing for a scan that is no DICOM or is gone."""
    try:
        with unpacked(raw, "dicom") as files:
            if not (files.is_dir() or (files.is_file() and is_dicom(files))):
                return []
            return nearest_slices(files, [(n.x_mm, n.y_mm, n.z_mm) for n in nodules])
    except Quarantine:
        return []


def _searched(results: Path, rows: list[Prediction]) -> Iterator[tuple[Path, list[str]]]:
    """Each detector's folder of candidates, those of its last stage, and the scans of `rows` that it searched."""
    last = {path.name: path for stage in ("extract", "rank") for path in results.glob(f"{stage}_candidates/*")}
    for _, detector in sorted(last.items()):
        scans = [row.scan for row in rows if (detector / f"{row.scan}.csv").is_file()]
        if scans:
            yield detector, scans
