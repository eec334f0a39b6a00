"""Lists of points as Grand Challenge passes them between programs ("Multiple points"): JSON, world mm, LPS."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.storage.checksums import unrecorded, write_text
from lungline.storage.foreign_files import read_json

KIND = "Multiple points"
_MOST_POINTS = 10_000


@dataclass(frozen=True)
class NamedPoint:
    """One point of a list: its name, world (x, y, z) in mm, LPS, and what was answered there, 0..1, if anything."""

    name: str
    xyz_mm: tuple[float, float, float]
    probability: float | None = None


@unrecorded()
def read_point_list(path: Path, *, answered: bool = False) -> list[NamedPoint]:
    """The points of a list, in its order; further keys are passed over.

    `answered`: each must have a probability in 0..1; else none is read. `LunglineError` for a file that is no such
    list, and for the first point that is wrong, which is named by its number.
    """
    content = read_json(path)
    points = content.get("points")
    if content.get("type", KIND) != KIND or not isinstance(points, list) or len(points) > _MOST_POINTS:
        raise LunglineError(f"{path}: expected 'type': '{KIND}' and 'points', a list of at most {_MOST_POINTS}.")
    found = []
    for number, point in enumerate(points, start=1):
        try:
            found.append(_point(point, answered))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            wanted = "name (text), point (x, y, z: finite mm)" + " and probability (0 to 1)" * answered
            raise LunglineError(f"{path}: point {number} of {len(points)}: expected {wanted}. Found others.") from None
    return found


def _point(point: Any, answered: bool) -> NamedPoint:
    x, y, z = map(_number, point["point"])
    probability = _number(point["probability"]) if answered else None
    if not isinstance(point["name"], str) or (probability is not None and not 0 <= probability <= 1):
        raise ValueError
    return NamedPoint(point["name"], (x, y, z), probability)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError
    return float(value)


def write_point_list(path: Path, points: Sequence[NamedPoint]) -> None:
    """Write a list of points with their probabilities, in their order."""
    listed = [{"name": one.name, "point": list(one.xyz_mm), "probability": one.probability} for one in points]
    content = {"name": "Points of interest", "type": KIND, "points": listed, "version": {"major": 1, "minor": 0}}
    write_text(path, json.dumps(content, indent=4, allow_nan=False) + "\n")
