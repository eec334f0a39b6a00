"""Annotated nodules in the scanner's world, and the sphere masks drawn from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline import geometry
from lungline.errors import LunglineError
from lungline.io.tables import read_rows

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")


@dataclass(frozen=True)
class Nodule:
    """One annotation: centre as world (x, y, z) mm, LPS, and diameter in mm."""

    scan: str
    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float


def read_annotations(path: Path, *, measured: bool = True) -> list[Nodule]:
    """Nodules of a LUNA-16 `annotations.csv`, or findings of its `annotations_excluded.csv`.

    Parameters
    ----------
    path : Path
    measured : bool
        False for excluded findings: most have the diameter -1, which says that nobody measured it.

    Raises
    ------
    LunglineError
        For a wrong header, a number that is none, or a diameter that is not positive: with the line number.
    """
    nodules = []
    for line, words in read_rows(path, COLUMNS):
        try:
            x, y, z, diameter = (float(words[name]) for name in COLUMNS[1:])
        except ValueError:
            raise LunglineError(f"{path}, line {line}: expected numbers in {', '.join(COLUMNS[1:])}.") from None
        if not (math.isfinite(x + y + z) and (0 < diameter < 500 or not measured)):
            raise LunglineError(
                f"{path}, line {line}: expected finite coordinates and a diameter in mm between 0 and 500. "
                f"Found ({x}, {y}, {z}), {diameter}. Mend or remove the line."
            )
        nodules.append(Nodule(words["seriesuid"], (x, y, z), diameter))
    return nodules


def draw_spheres(shape_zyx: Sequence[int], affine: geometry.Affine, nodules: Sequence[Nodule]) -> NDArray[np.bool_]:
    """Mask (Z, Y, X) that is true within half a diameter of a nodule's centre (paper, section 4.2).

    The voxel that holds a centre is always true, so that no nodule vanishes between voxel centres.
    """
    mask = np.zeros(tuple(shape_zyx), dtype=bool)
    for nodule in nodules:
        centre_zyx = geometry.world_to_voxel(affine, nodule.centre_xyz_mm)
        reach = nodule.diameter_mm / 2 / geometry.spacing_zyx_mm(affine).min() * np.ones(3)
        low = np.maximum(np.floor(centre_zyx - reach), 0).astype(int)
        high = np.minimum(np.ceil(centre_zyx + reach) + 1, mask.shape).astype(int)
        if np.any(low >= high):
            continue  # outside the grid
        grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
        distance_mm = np.linalg.norm(geometry.voxel_to_world(affine, grid) - nodule.centre_xyz_mm, axis=-1)
        mask[tuple(map(slice, low, high))] |= distance_mm <= nodule.diameter_mm / 2
        nearest = np.rint(centre_zyx).astype(int)
        if np.all((nearest >= 0) & (nearest < mask.shape)):
            mask[tuple(nearest)] = True
    return mask


def count_outside(shape_zyx: Sequence[int], affine: geometry.Affine, nodules: Sequence[Nodule]) -> int:
    """How many nodules have their centre outside the grid (half a voxel beyond the outermost centres)."""
    if not nodules:
        return 0
    centres_zyx = geometry.world_to_voxel(affine, [nodule.centre_xyz_mm for nodule in nodules])
    inside = np.all((centres_zyx >= -0.5) & (centres_zyx <= np.array(shape_zyx) - 0.5), axis=1)
    return int((~inside).sum())
