"""How far a measured size may be from the one that readers outline: learned from nodules of known outline.

`size_errors.yaml` says from which, and holds the table that `python -m experiments.size_errors` made.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

_TABLE = Path(__file__).with_name("size_errors.yaml")


@cache
def error_table() -> dict[str, Any]:
    """The table: `source`, and `rows` by size, slice thickness and attenuation."""
    import yaml

    found: dict[str, Any] = yaml.safe_load(_TABLE.read_text(encoding="utf-8"))
    return found


def diameter_interval(mean_mm: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    """95 % interval of a mean diameter, mm, measured in slices of a thickness; see `nodules.measurements` for the last.

    It holds the readers' mean diameter of about 95 of 100 such nodules. Its middle is not the measured one where that
    is too large or small on the whole.
    """
    return _interval("diameter", mean_mm, mean_mm, slice_mm, attenuation)


def volume_interval(volume_mm3: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    """95 % interval of a volume, mm3, in the same way."""
    return _interval("volume", volume_mm3, (6 * volume_mm3 / np.pi) ** (1 / 3), slice_mm, attenuation)


def _interval(what: str, value: float, size_mm: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    kind = "solid" if attenuation == "solid" else "other"
    row = next(
        row
        for row in error_table()["rows"]
        if row["attenuation"] == kind and size_mm < row["below_mm"] and slice_mm <= row["slices_to_mm"]
    )
    bias, sd = row[f"{what}_log_bias"], row[f"{what}_log_sd"]
    low, high = (float(value * np.exp(-bias + sign * 1.96 * sd)) for sign in (-1, 1))
    return low, high
