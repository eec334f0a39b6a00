"""A label map, resampled to the slices of its scan (nearest voxel), for DICOM, NIfTI and NRRD alike."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.volume import Volume

#: Part of a voxel: a point on the border of two voxels (slices 2 mm apart) belongs to the same one in every file,
#: though one writes the place of a slice to fewer digits than another.
_TIE = 1e-3


@dataclass(frozen=True)
class Plane:
    """Where the pixels of one slice lie; world vectors are LPS."""

    shape_ji: tuple[int, int]  # rows, columns
    position_xyz_mm: NDArray[np.float64]  # (3,), centre of the first pixel
    along_i_xyz_mm: NDArray[np.float64]  # (3,), to the next column
    along_j_xyz_mm: NDArray[np.float64]  # (3,), to the next row

    def world(self, j: NDArray, i: NDArray) -> NDArray[np.float64]:
        """World points (..., 3) of pixels."""
        steps = j[..., None] * self.along_j_xyz_mm + i[..., None] * self.along_i_xyz_mm
        return np.asarray(self.position_xyz_mm + steps)

    def index(self, points_xyz_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 3): row, column, and distance from the plane in mm, of world points."""
        to_index = _to_index(tuple(self.along_i_xyz_mm.tolist()), tuple(self.along_j_xyz_mm.tolist()))
        return np.asarray((points_xyz_mm - self.position_xyz_mm) @ to_index.T)


@lru_cache(maxsize=8)  # the planes of a scan share it
def _to_index(along_i_xyz_mm: tuple[float, ...], along_j_xyz_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """Matrix (3, 3) from a step in mm to rows, columns and mm along the normal."""
    normal = np.cross(along_i_xyz_mm, along_j_xyz_mm)
    axes = np.column_stack([along_j_xyz_mm, along_i_xyz_mm, normal / np.linalg.norm(normal)])
    return np.linalg.inv(axes)


def planes_of_grid(shape_zyx: Sequence[int], affine: geometry.Affine) -> list[Plane]:
    """The planes of a grid along its first axis; `affine` as in `Volume`."""
    to_slice, along_j, along_i = affine[:3, :3].T
    positions = affine[:3, 3] + np.arange(shape_zyx[0])[:, None] * to_slice
    return [Plane((shape_zyx[1], shape_zyx[2]), position, along_i, along_j) for position in positions]


def ranks_on_planes(ranks: Volume, planes: list[Plane], only: Collection[int] | None = None) -> NDArray[np.uint8]:
    """The rank of each candidate in the pixels whose centres lie in its voxels, 0 elsewhere; (planes, rows, columns).

    Of the ranks in `only` alone, where it is given.

    A candidate that falls between all pixels marks the one that lies nearest to its middle. `ranks` is a `rank_map`
    with ranks up to 255; all planes have one shape.
    """
    marked = np.zeros((len(planes), *planes[0].shape_ji), dtype=np.uint8)
    for rank, box in enumerate(ndimage.find_objects(ranks.array), start=1):
        if box is None or (only is not None and rank not in only):
            continue
        edges = [(s.start - 0.5, s.stop - 0.5) for s in box]
        corners = geometry.voxel_to_world(ranks.affine, np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1))
        hits = [_mark(marked[k], ranks, rank, plane, corners.reshape(-1, 3)) for k, plane in enumerate(planes)]
        if not any(hits):
            _mark_nearest(marked, ranks, rank, planes)
    return marked


def _mark(pixels: NDArray[np.uint8], ranks: Volume, rank: int, plane: Plane, corners: NDArray[np.float64]) -> bool:
    """Mark one candidate on one plane; `corners` (8, 3) are those of the box around it. Whether it was there."""
    at = plane.index(corners)
    low, high = np.floor(at.min(axis=0)).astype(int), np.ceil(at.max(axis=0)).astype(int)
    if at[:, 2].min() > _TIE or at[:, 2].max() < -_TIE:
        return False
    rows, columns = (np.arange(max(low[n], 0), min(high[n] + 1, plane.shape_ji[n])) for n in (0, 1))
    if not rows.size or not columns.size:
        return False
    j, i = np.meshgrid(rows, columns, indexing="ij")
    inside = _ranks_at(ranks, plane.world(j, i)) == rank
    pixels[j[inside], i[inside]] = rank
    return bool(inside.any())


def _ranks_at(ranks: Volume, points_xyz_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """What stands in the voxel around each world point; 0 outside the grid."""
    index = np.floor(geometry.world_to_voxel(ranks.affine, points_xyz_mm) + (0.5 + _TIE)).astype(int)
    within = np.all((index >= 0) & (index < ranks.shape_zyx), axis=-1)
    found = np.zeros(within.shape, dtype=np.int64)
    found[within] = ranks.array[tuple(index[within].T)]
    return found


def _mark_nearest(marked: NDArray[np.uint8], ranks: Volume, rank: int, planes: list[Plane]) -> None:
    voxels = np.argwhere(ranks.array == rank)
    middle = voxels[np.argmin(np.linalg.norm(voxels - voxels.mean(axis=0), axis=1))]
    at = np.array([plane.index(geometry.voxel_to_world(ranks.affine, middle)) for plane in planes])
    k = int(np.argmin(np.abs(at[:, 2])))
    j, i = (int(np.clip(round(at[k, n]), 0, planes[k].shape_ji[n] - 1)) for n in (0, 1))
    marked[k, j, i] = rank
