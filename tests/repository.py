"""Where this repository and the real sample data lie."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def sample_folder() -> Path | None:
    """Folder of the real sample data, `LUNGLINE_SAMPLE_DATA` or ../shared/data; None where there is none."""
    folder = Path(os.environ.get("LUNGLINE_SAMPLE_DATA", REPOSITORY.parent / "shared" / "data"))
    return folder if folder.is_dir() else None
