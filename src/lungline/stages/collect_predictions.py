"""Collect `predictions.csv`: one row per scan of the manifest, quarantined ones with their reason."""

from collections import Counter
from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage.predictions import collect, read_answers, write_predictions
from lungline.storage.scan_rows import read_manifest


@stage
def run(output: Path, *, manifest: Path, predictions: Path, classifier: str) -> None:
    """Read MANIFEST and the answers PREDICTIONS of CLASSIFIER, write one row per scan of the manifest."""
    rows = collect(read_manifest(manifest), read_answers(predictions), classifier)
    write_predictions(output, rows)
    print(f"{len(rows)} scans: " + ", ".join(f"{n} {status}" for status, n in Counter(r.status for r in rows).items()))
