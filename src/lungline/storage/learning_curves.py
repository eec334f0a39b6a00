"""Learning curves as training writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.storage.tables import read_rows

COLUMNS = ("step", "train_loss", "valid_loss")


def read_curve(path: Path) -> dict[str, NDArray[np.float64]]:
    """The columns step, train_loss and valid_loss (k,) of a `learning_curve.csv`."""
    rows = [[words[name] for name in COLUMNS] for _, words in read_rows(Path(path), COLUMNS)]
    if not rows:
        raise LunglineError(f"{path}: expected at least one row of {', '.join(COLUMNS)}. Train again.")
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise LunglineError(f"{path}: expected numbers. {error}.") from None
    return dict(zip(COLUMNS, table.T, strict=True))


def training_name(path: Path) -> str:
    """What was trained, read off the folder: `paper z` for `paper/z/learning_curve.csv`, `m2` for a system's."""
    folder = Path(path).absolute().parent
    return f"{folder.parent.name} {folder.name}" if folder.name in ("z", "y", "x") else folder.name
