"""A configuration on disk, as the stages of a run read it."""

from pathlib import Path
from typing import Any

from lungline.config.loading import config_text, read_config


def save_config(folder: Path, **changed: Any) -> Path:
    """FOLDER/config.json: the default run with what is changed."""
    path = folder / "config.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config_text(read_config(changed)), encoding="utf-8")
    return path
