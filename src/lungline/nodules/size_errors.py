"""How far a measured size may be from the one that readers outline: learned from nodules of known outline."""

from typing import Any

import numpy as np

from lungline.nodules.size_error_table import COLUMNS, ROWS

SDS = 1.96  # on each side, of a normal distribution, hold 95 %


def diameter_interval(mean_mm: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    """95 % interval of a mean diameter, mm, measured in slices of a thickness, of a nodule of an `Attenuation`.

    It should hold the readers' mean diameter of 95 of 100 such nodules. The measured one is not its middle where such
    nodules are measured too large or too small on the whole.
    """
    return _interval("diameter", mean_mm, mean_mm, slice_mm, attenuation)


def volume_interval(volume_mm3: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    """95 % interval of a volume, mm3, in the same way."""
    return _interval("volume", volume_mm3, (6 * volume_mm3 / np.pi) ** (1 / 3), slice_mm, attenuation)


def repeat_error(volume_mm3: float, slice_mm: float | None, attenuation: str) -> float:
    """Standard deviation of the natural logarithm of a volume, mm3, from date to date.

    What is wrong with a nodule at every date alike is not in it: it cancels where two dates are compared. Slices of
    unknown thickness count as thick.
    """
    size_mm = (6 * volume_mm3 / np.pi) ** (1 / 3)
    return float(_row(size_mm, np.inf if slice_mm is None else slice_mm, attenuation)["volume_repeat"])


def _interval(what: str, value: float, size_mm: float, slice_mm: float, attenuation: str) -> tuple[float, float]:
    row = _row(size_mm, slice_mm, attenuation)
    bias, half = row[f"{what}_bias"], SDS * row[f"{what}_sd"]
    return float(value * np.exp(-bias - half)), float(value * np.exp(-bias + half))


def _row(size_mm: float, slice_mm: float, attenuation: str) -> dict[str, Any]:
    """The first row of the table that fits."""
    kind = "solid" if attenuation == "solid" else "other"
    known: list[dict[str, Any]] = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
    return next(
        row
        for row in known
        if row["attenuation"] == kind
        and slice_mm <= row["slices_to_mm"]
        and (size_mm < row["below_mm"] or row["below_mm"] == np.inf)
    )
