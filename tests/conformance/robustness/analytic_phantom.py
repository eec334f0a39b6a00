"""A small chest whose HU are known at every point of space, so that any grid can be read off it exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

CENTRE_XYZ_MM = (7.0, -12.0, 85.0)
_EDGE_MM = 1.2
AIR_HU, SOFT_HU, LUNG_HU, BEAD_HU = -1000.0, 40.0, -850.0, 900.0
_BODY_MM = (38.0, 35.0)
_LUNGS = (((-17.0, 2.0, -3.0), (13.0, 21.0, 44.0)), ((18.0, -1.0, 4.0), (12.0, 19.0, 38.0)))
_BEADS = ((-30.5, 4, -38), (1, -26, -15), (3, 27, 22), (32, -6, 40), (-3, 2, 47), (-29, -13, 17))
_BEAD_MM = 2.6


def hu_at(points_xyz_mm: ArrayLike) -> Array:
    """HU (...) at world points (..., 3), LPS: a body in air, two unequal lungs, six beads of bone; no symmetry."""
    x, y, z = np.moveaxis(np.asarray(points_xyz_mm, dtype=np.float64) - CENTRE_XYZ_MM, -1, 0)
    body = (np.hypot(x / _BODY_MM[0], y / _BODY_MM[1]) - 1) * min(_BODY_MM)
    hu = AIR_HU + (SOFT_HU - AIR_HU) * _inside(body)
    for (cx, cy, cz), (rx, ry, rz) in _LUNGS:
        rho = np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
        hu += (LUNG_HU - SOFT_HU) * _inside((rho - 1) * min(rx, ry))
    for cx, cy, cz in _BEADS:
        square = (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2
        hu += (BEAD_HU - SOFT_HU) * np.exp(-square / (2 * _BEAD_MM**2))
    return hu


def _inside(distance_mm: Array) -> Array:
    """1 inside, 0 outside, with an edge as soft as a scanner's."""
    return 1 / (1 + np.exp(np.clip(distance_mm / (0.5 * _EDGE_MM), -40, 40)))


@dataclass(frozen=True)
class Grid:
    """Where the voxels of a scan lie.

    Attributes
    ----------
    shape_zyx : three ints
    affine : (4, 4) float64
        Voxel index (z, y, x, 1) to world (x, y, z, 1) in mm, LPS; the axes may be sheared.
    """

    shape_zyx: tuple[int, int, int]
    affine: Array

    @property
    def spacing_zyx_mm(self) -> Array:
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    def points(self) -> Array:
        """World points (Z, Y, X, 3) of all voxels."""
        index = np.stack(np.meshgrid(*map(np.arange, self.shape_zyx), indexing="ij"), axis=-1)
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def hu(self) -> NDArray[np.int16]:
        """What a scanner would store: whole HU (Z, Y, X)."""
        return np.rint(hu_at(self.points())).astype(np.int16)

    def part(self, first: int, stop: int) -> Grid:
        """Slices `first` to `stop` (not counted) of the same grid."""
        affine = self.affine.copy()
        affine[:3, 3] += first * affine[:3, 0]
        return Grid((stop - first, *self.shape_zyx[1:]), affine)


def make_grid(
    shape_zyx: tuple[int, int, int] = (60, 40, 48),
    spacing_zyx_mm: tuple[float, float, float] = (2.0, 2.1, 1.7),
    along_i: ArrayLike = (1, 0, 0),
    along_j: ArrayLike = (0, 1, 0),
    along_k: ArrayLike | None = None,
    shift_mm: ArrayLike = (0, 0, 0),
) -> Grid:
    """A grid around the chest with unit vectors `along_i` (columns), `along_j` (rows); k is their normal by default."""
    if along_k is None:
        along_k = np.cross(along_i, along_j)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([along_k, along_j, along_i], axis=1) * np.array(spacing_zyx_mm)
    middle = affine[:3, :3] @ ((np.array(shape_zyx) - 1) / 2)
    affine[:3, 3] = np.round(np.array(CENTRE_XYZ_MM) - middle + np.array(shift_mm), 3)
    return Grid(shape_zyx, affine)


def no_chests(shape_zyx: Sequence[int]) -> Iterator[tuple[str, NDArray[np.int16]]]:
    """Sound images (name, int16 HU) that show no chest."""
    for name, hu, noise in (("constant", 0, 0), ("air", -1000, 15), ("water", 0, 15)):
        yield name, np.random.default_rng(0).normal(hu, noise, shape_zyx).astype(np.int16)


def turned_grids() -> Iterator[tuple[str, Grid]]:
    """Grids whose axes are flipped, mirrored, permuted or oblique."""
    for name, (i, j, k) in {
        "flipped": ((-1, 0, 0), (0, -1, 0), None),
        "mirrored": ((-1, 0, 0), (0, 1, 0), (0, 0, 1)),
        "from-the-head": ((1, 0, 0), (0, 1, 0), (0, 0, -1)),
        "permuted": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
        "oblique": ((np.cos(0.3), np.sin(0.3), 0), (-np.sin(0.3), np.cos(0.3), 0), None),
    }.items():
        yield name, make_grid((46, 44, 48), (2.4, 1.9, 1.8), i, j, k)
