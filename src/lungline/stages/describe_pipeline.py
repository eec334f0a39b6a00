"""Describe in one file what a scan goes through, so that `lungline predict` gives the workflow's answer."""

from __future__ import annotations

from pathlib import Path

from lungline.storage.bundle import Pipeline, write_pipeline


def run(output: Path, *, system: str, settings: dict, model: Path, detector: Path | None = None) -> None:
    """Write OUTPUT (JSON): the SETTINGS of each stage by name, and the trained folders MODEL and DETECTOR."""
    write_pipeline(output, Pipeline(system, settings, model, detector))
