"""Values of single DICOM header elements, as far as they can be read: nothing here raises because of a damaged one."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom.dataset import Dataset


def text_of(header: Dataset, key: str) -> str:
    """An element as text without blanks and padding around it, "" where it is missing or cannot be read."""
    try:
        value = header.get(key)
    except Exception:
        return ""
    return "" if value is None else str(value).strip(" \t\r\n\0")


def floats_of(
    header: Dataset, key: str, count: int, allowed: Callable[[tuple[float, ...]], bool] = bool
) -> tuple[float, ...] | None:
    """That many finite numbers, and such as are allowed, or None."""
    try:
        values = tuple(float(v) for v in header.get(key))
    except Exception:  # missing, empty, or words instead of numbers
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) and allowed(values) else None


def orientation_of(header: Dataset) -> tuple[float, ...] | None:
    """Two unit vectors at right angles, or None."""
    values = floats_of(header, "ImageOrientationPatient", 6)
    if values is None:
        return None
    along_i, along_j = np.array(values[:3]), np.array(values[3:])
    lengths = np.linalg.norm(along_i), np.linalg.norm(along_j)
    if not np.allclose(lengths, 1, atol=1e-2) or abs(along_i @ along_j) > 1e-2:
        return None
    along_i = along_i / lengths[0]
    along_j = along_j - (along_j @ along_i) * along_i
    return (*along_i.tolist(), *(along_j / np.linalg.norm(along_j)).tolist())


def number_of_element(header: Dataset, key: str) -> float | None:
    """A number; None where there is nothing, nan where there is something that is no number."""
    try:
        value: Any = header.get(key)
        return None if value is None or value == "" else float(value)
    except Exception:
        return math.nan


def whole_number_of(header: Dataset, key: str) -> int:
    """A whole number of 32 bits, as DICOM allows in an IS (PS3.5, 6.2); 0 where there is none."""
    try:
        value = int(header.get(key) or 0)
    except Exception:
        return 0
    return value if -(2**31) <= value < 2**31 else 0
