"""Where a nodule lies in the lungs: laterality, zone, lobe and distance from the pleura."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.imaging.volume import Volume

Laterality = Literal["left", "right"]
Zone = Literal["upper", "middle", "lower"]

_STEP = 2  # voxels: every second one is enough to tell which lung is nearer


def places_in_lungs(lungs: Volume, points_xyz_mm: ArrayLike) -> list[tuple[Laterality, Zone]]:
    """Laterality and zone (third of that lung's height) of each point (n, 3), by the nearest voxel of a lung.

    `lungs` is a mask of both lungs, not empty, with axes in LPS order.
    """
    from lungline.imaging.lungs import middle_column, side_of_all

    box = bounding_box(lungs.array)
    inside = lungs.array[box]
    middle = middle_column(inside)
    halves: dict[Laterality, slice] = {"right": slice(None, middle), "left": slice(middle, None)}
    if middle == inside.shape[2]:  # one lung, or two that nothing parts: all has the laterality of where it lies
        halves = {side_of_all(inside, box[2].start, lungs.shape_zyx[2]): slice(None)}
    voxels = _STEP * np.argwhere(inside[::_STEP, ::_STEP, ::_STEP])
    heights = {
        laterality: np.flatnonzero(inside[:, :, half].any(axis=(1, 2)))[[0, -1]] for laterality, half in halves.items()
    }
    found: list[tuple[Laterality, Zone]] = []
    for index_zyx in geometry.world_to_voxel(lungs.affine, points_xyz_mm).reshape(-1, 3):
        here = index_zyx - [part.start for part in box]
        nearest = voxels[np.argmin((((voxels - here) * lungs.spacing_zyx_mm) ** 2).sum(axis=1))]
        laterality: Laterality = next(iter(halves)) if len(halves) == 1 else "right" if nearest[2] < middle else "left"
        low, high = heights[laterality]
        share = (here[0] - low + 0.5) / (high - low + 1)
        found.append((laterality, "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"))
    return found


def lobes_at(lobes: Volume, points_xyz_mm: ArrayLike) -> list[str]:
    """The lobe of each point (n, 3), or the nearest one; `lobes` are numbered as `given_masks.LOBES`, not empty."""
    from lungline.imaging.given_masks import LOBES

    voxels = np.argwhere(lobes.array[::_STEP, ::_STEP, ::_STEP]) * _STEP
    found = []
    for index_zyx in geometry.world_to_voxel(lobes.affine, points_xyz_mm).reshape(-1, 3):
        here = tuple(int(n) for n in np.clip(np.rint(index_zyx), 0, np.array(lobes.shape_zyx) - 1))
        if not lobes.array[here]:
            off_mm = (voxels - index_zyx) * lobes.spacing_zyx_mm
            here = tuple(voxels[np.argmin((off_mm**2).sum(axis=1))])
        found.append(LOBES[int(lobes.array[here]) - 1])
    return found


def distances_from_pleura(lungs: Volume, labels: Volume, wanted: Sequence[int]) -> list[float]:
    """Shortest distance of the voxels with each of the labels `wanted` from the edge of `lungs` (bool), mm.

    0 of a nodule that touches it or reaches beyond. The edge is that of the lung mask, towards the mediastinum, too.
    `labels` is a label map on any grid.
    """
    from scipy import ndimage
    from scipy.spatial import KDTree

    box = bounding_box(lungs.array)
    inside = np.pad(lungs.array[box], 1)
    edge = np.argwhere(inside & ~ndimage.binary_erosion(inside)) - 1 + [part.start for part in box]
    tree, boxes, found = KDTree(geometry.voxel_to_world(lungs.affine, edge)), ndimage.find_objects(labels.array), []
    for label in wanted:
        part = boxes[label - 1]
        index = np.argwhere(labels.array[part] == label) + [one.start for one in part]
        points = geometry.voxel_to_world(labels.affine, index)
        voxels = np.rint(geometry.world_to_voxel(lungs.affine, points)).astype(np.int64)
        known = np.all((voxels >= 0) & (voxels < lungs.shape_zyx), axis=1)
        within = known.all() and bool(lungs.array[tuple(voxels.T)].all())
        found.append(float(tree.query(points)[0].min()) if within else 0.0)
    return found
