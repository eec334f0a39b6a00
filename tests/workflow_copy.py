"""What tests ask of a copy of the workflow: itself, and the digests of what it has made."""

from __future__ import annotations

import hashlib

from benchmarks.copies import Workflow, copy_workflow

__all__ = ["Workflow", "copy_workflow", "digests"]
MADE = ("ingest", "cache_volume", "draw_nodule_mask", "train_unet", "detect", "crop_patches", "train_system")


def digests(folder) -> dict[str, str]:
    """SHA-256 of the predictions and of every intermediate file, by name."""
    files = [folder / "predictions.csv", *(path for part in MADE for path in sorted((folder / part).rglob("*.*")))]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
