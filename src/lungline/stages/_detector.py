"""What stages ask of a trained detector's folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lungline.detection.slices import AXES
from lungline.evaluation.patient_metrics import refuse_trained_on
from lungline.storage.results import read_result


def refuse_scans_of(detector: Path, scans: Sequence[str]) -> None:
    """`LunglineError` if a network of DETECTOR was trained or validated on any of these scans."""
    reduction = ["reduction"] if (detector / "reduction").is_dir() else []
    for part in (*AXES, *reduction):
        refuse_trained_on(scans, read_result(detector / part / "card.json"), str(detector / part))
