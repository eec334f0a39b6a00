"""The truth of the embedded cohort: every nodule of both data sets."""

from __future__ import annotations

from pathlib import Path

from lungline.errors import LunglineError
from lungline.storage.tables import read_rows


def largest_diameters(path: Path) -> dict[str, float]:
    """Diameter in mm of the largest nodule of each scan in a `truth.csv`; scans without a nodule are not in it."""
    largest: dict[str, float] = {}
    for line, words in read_rows(Path(path), ("scan", "diameter_mm")):
        try:
            diameter = float(words["diameter_mm"])
        except ValueError:
            raise LunglineError(
                f"{path}, line {line}: expected a diameter in mm. Got '{words['diameter_mm']}'."
            ) from None
        largest[words["scan"]] = max(diameter, largest.get(words["scan"], 0.0))
    return largest
