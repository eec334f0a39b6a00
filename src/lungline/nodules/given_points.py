"""Points that a person has named: where they lie, and which voxels are measured there."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.annotations import LARGEST_MM, Nodule, rasterise_spheres
from lungline.storage.checksums import unrecorded
from lungline.storage.tables import Faults, decimal, read_rows, table_text_of

_NAMES = (("x_mm", "y_mm", "z_mm"), ("coordX", "coordY", "coordZ"))
#: A candidate's outline counts for a point in it or this near to it: readers click beside the middle.
_REACH_MM = 5.0
#: Of the ball that is measured where there is no outline and no `diameter_mm`.
_BALL_MM = 8.0

PointFlag = Literal["", "outside-lungs", "outside-scan"]


@dataclass(frozen=True)
class Point:
    """One named point: world mm, LPS, and the line where it stands."""

    line: int
    xyz_mm: tuple[float, float, float]
    diameter_mm: float | None = None


@dataclass(frozen=True)
class PointRow:
    """What is said of a point; scores are those of the classifier for the cube around it, empty where there is none."""

    line: int  # of the table of points
    x_mm: float
    y_mm: float
    z_mm: float
    flag: PointFlag
    logit: float | None = None
    cancer_probability: float | None = None
    malignancy_score: float | None = None
    outline: Literal["", "candidate", "ball"] = ""  # what was measured for the classifier's features
    volume_mm3: float | None = None  # of it
    nearest_rank: int | None = None  # of our own candidates
    nearest_mm: float | None = None  # from the point to its centre


COLUMNS = ("scan", *(one.name for one in fields(PointRow)))


@unrecorded()
def read_points(path: Path) -> list[Point]:
    """The points of a table with `x_mm, y_mm, z_mm`, or `coordX, coordY, coordZ` as annotations have them; world, LPS.

    Optional: `diameter_mm`, and `seriesuid`, which may name one scan only. `LunglineError` names every wrong line.
    """
    names = _NAMES["coordX" in table_text_of(path).partition("\n")[0]]
    faults, found, scans = Faults(path), list[Point](), set[str]()
    for line, cells in read_rows(path, names, faults, numbers=names, foreign=True):
        try:
            x, y, z = (decimal(cells[name], name) for name in names)
            diameter = decimal(cells["diameter_mm"], "diameter_mm") if cells.get("diameter_mm") else None
            if diameter is not None and not 0 < diameter <= LARGEST_MM:
                raise LunglineError(f"diameter_mm: expected above 0 and at most {LARGEST_MM:g}. Found {diameter:g}.")
        except LunglineError as error:
            faults.add(line, str(error))
            continue
        scans.add(cells.get("seriesuid", ""))
        found.append(Point(line, (x, y, z), diameter))
    faults.refuse()
    if len(scans) > 1:
        raise LunglineError(f"{path}: expected points of one scan. Found {len(scans)} values of seriesuid.")
    return found


def flag_of(point: Point, mask: Volume) -> PointFlag:
    """Whether a point lies outside the scan or the lungs; `mask` is bool on the grid of the resampled scan."""
    index = np.floor(geometry.world_to_voxel(mask.affine, point.xyz_mm) + 0.5).astype(int)
    if np.any(index < 0) or np.any(index >= mask.shape_zyx):
        return "outside-scan"
    return "" if mask.array[tuple(index)] else "outside-lungs"


def place_in(point: Point, mask: Volume, reach_mm: float) -> Point | None:
    """The point where it is scored: itself inside the lungs, else the nearest voxel of theirs within `reach_mm`.

    None outside the scan, or farther away. `mask` as of `flag_of`.
    """
    flag = flag_of(point, mask)
    if flag != "outside-lungs":
        return None if flag else point
    reach = np.ceil(reach_mm / mask.spacing_zyx_mm).astype(int)
    middle = np.rint(geometry.world_to_voxel(mask.affine, point.xyz_mm)).astype(int)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, mask.shape_zyx)
    there = np.argwhere(mask.array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]) + low
    places = geometry.voxel_to_world(mask.affine, there)
    away_mm = np.linalg.norm(places - point.xyz_mm, axis=1)
    if away_mm.min(initial=np.inf) > reach_mm:
        return None
    x, y, z = places[np.argmin(away_mm)].tolist()
    return replace(point, xyz_mm=(x, y, z))


def outline_at(point: Point, labels: Volume) -> tuple[Literal["candidate", "ball"], NDArray[np.bool_]]:
    """The voxels (Z, Y, X) that are measured at a point: of the candidate there, or a ball.

    `labels` is the label map of all candidates.
    """
    reach = np.ceil(_REACH_MM / labels.spacing_zyx_mm).astype(int)
    middle = np.rint(geometry.world_to_voxel(labels.affine, point.xyz_mm)).astype(int)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, labels.shape_zyx)
    box = labels.array[tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))]
    there = np.argwhere(box) + low
    if len(there):
        away_mm = np.linalg.norm(geometry.voxel_to_world(labels.affine, there) - point.xyz_mm, axis=1)
        if away_mm.min() <= _REACH_MM:
            return "candidate", labels.array == labels.array[tuple(there[np.argmin(away_mm)])]
    ball = Nodule("", point.xyz_mm, point.diameter_mm or _BALL_MM)
    return "ball", rasterise_spheres(labels.shape_zyx, labels.affine, [ball])


def nearest(point: Point, centres_xyz_mm: Sequence[tuple[float, float, float]]) -> tuple[int | None, float | None]:
    """Index of the centre that lies nearest to a point, and its distance in mm; None without any."""
    if not centres_xyz_mm:
        return None, None
    away_mm = np.linalg.norm(np.asarray(centres_xyz_mm) - point.xyz_mm, axis=1)
    return int(np.argmin(away_mm)), float(away_mm.min())
