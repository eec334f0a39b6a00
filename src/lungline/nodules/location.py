"""In which lung a point lies, and how high in it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.imaging.lungs import middle_column
from lungline.imaging.volume import Volume

Side = Literal["left", "right"]
Third = Literal["upper", "middle", "lower"]

_STEP = 2  # voxels: every second one is enough to tell which lung is nearer


def places_in_lungs(lungs: Volume, points_xyz_mm: ArrayLike) -> list[tuple[Side, Third]]:
    """The patient's side, and the third of that lung's height, of each point; the nearest where it lies beside.

    Parameters
    ----------
    lungs : Volume
        (Z, Y, X) bool, both lungs, not empty, axes in LPS order.
    points_xyz_mm : (n, 3)
        World points, LPS.
    """
    box = bounding_box(lungs.array)
    inside = lungs.array[box]
    middle = middle_column(inside)
    halves: dict[Side, slice] = {"right": slice(None, middle), "left": slice(middle, None)}
    if middle == inside.shape[2]:  # one lung, or two that nothing parts: all is on the side where it lies
        columns = np.count_nonzero(inside, axis=(0, 1))
        centre = box[2].start + np.average(np.arange(columns.size), weights=columns)
        halves = {"right" if centre < lungs.shape_zyx[2] / 2 else "left": slice(None)}
    voxels = _STEP * np.argwhere(inside[::_STEP, ::_STEP, ::_STEP])
    heights = {side: np.flatnonzero(inside[:, :, half].any(axis=(1, 2)))[[0, -1]] for side, half in halves.items()}
    found: list[tuple[Side, Third]] = []
    for index_zyx in geometry.world_to_voxel(lungs.affine, points_xyz_mm).reshape(-1, 3):
        here = index_zyx - [part.start for part in box]
        nearest = voxels[np.argmin((((voxels - here) * lungs.spacing_zyx_mm) ** 2).sum(axis=1))]
        side: Side = next(iter(halves)) if len(halves) == 1 else "right" if nearest[2] < middle else "left"
        low, high = heights[side]
        share = (here[0] - low + 0.5) / (high - low + 1)
        found.append((side, "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"))
    return found
