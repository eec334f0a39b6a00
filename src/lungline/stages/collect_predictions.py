"""Collect `predictions.csv`: every scan of the sheet answered or named, none lost."""

from collections import Counter
from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage.manifest import read_sheet
from lungline.storage.predictions import collect, read_answers, write_predictions


@stage
def run(output: Path, *, scans: Path, predictions: Path, system: str) -> None:
    """Read the sheet SCANS and the answers PREDICTIONS of SYSTEM, write one row a scan of the sheet."""
    rows = collect(read_sheet(scans), read_answers(predictions), system)
    write_predictions(output, rows)
    print(f"{len(rows)} scans: " + ", ".join(f"{n} {status}" for status, n in Counter(r.status for r in rows).items()))
