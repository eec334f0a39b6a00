"""Affines between voxel indices and the scanner's world.

An affine here is a (4, 4) float64 matrix that maps a voxel index (z, y, x, 1), voxel centres at whole
numbers, to a world point (x, y, z, 1) in mm, LPS (x to the patient's left, y to the back, z to the head).
Column k belongs to array axis k. Spacing, origin and direction are read off it and stored nowhere else.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.errors import GeometryError

Affine = NDArray[np.float64]

#: The direction of an LPS array in (z, y, x) order: axis 0 runs along +z, axis 1 along +y, axis 2 along +x.
LPS_DIRECTION = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def make_affine(
    spacing_zyx_mm: Sequence[float],
    origin_xyz_mm: Sequence[float] = (0.0, 0.0, 0.0),
    direction: ArrayLike = LPS_DIRECTION,
) -> Affine:
    """The affine of an array [z, y, x].

    Parameters
    ----------
    spacing_zyx_mm : three floats
        Distance of neighbouring voxel centres along each array axis.
    origin_xyz_mm : three floats
        World point of the centre of voxel (0, 0, 0), LPS.
    direction : array of shape (3, 3)
        Column k is the unit world vector (x, y, z) along array axis k. Without it z, y, x run along +z, +y, +x.

    Returns
    -------
    numpy.ndarray
        float64 (4, 4), as `lungline.Volume` needs it.

    Raises
    ------
    GeometryError
        If a spacing is not positive and finite, or the direction is singular.

    Examples
    --------
    >>> import lungline
    >>> lungline.make_affine((2.5, 0.7, 0.8), origin_xyz_mm=(-10, -20, 30)).tolist()
    [[0.0, 0.0, 0.8, -10.0], [0.0, 0.7, 0.0, -20.0], [2.5, 0.0, 0.0, 30.0], [0.0, 0.0, 0.0, 1.0]]
    """
    spacing = np.asarray(spacing_zyx_mm, dtype=np.float64)
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(direction, dtype=np.float64) * spacing
    affine[:3, 3] = np.asarray(origin_xyz_mm, dtype=np.float64)
    if not np.all(spacing > 0):
        raise GeometryError(f"voxel spacing must be positive in every axis. Got {spacing.tolist()} mm (z, y, x).")
    return check_affine(affine)


def check_affine(affine: ArrayLike) -> Affine:
    """The affine as float64, or `GeometryError` if it is not (4, 4), not finite or singular."""
    matrix = np.array(affine, dtype=np.float64)
    if matrix.shape != (4, 4):
        raise GeometryError(f"an affine must have shape (4, 4). Got {matrix.shape}.")
    if not np.all(np.isfinite(matrix)) or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise GeometryError(f"an affine must be finite with last row (0, 0, 0, 1). Got {matrix.tolist()}.")
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.any(spacing < 1e-6) or abs(np.linalg.det(matrix[:3, :3] / spacing)) < 1e-3:
        raise GeometryError(f"the axes of an affine must span space. Got {matrix[:3, :3].tolist()}.")
    return matrix


def spacing_zyx_mm(affine: Affine) -> NDArray[np.float64]:
    """Voxel spacing (3,) in mm along the array axes z, y, x."""
    return np.asarray(np.linalg.norm(affine[:3, :3], axis=0))


def direction(affine: Affine) -> NDArray[np.float64]:
    """Unit world vectors (3, 3): column k belongs to array axis k."""
    return np.asarray(affine[:3, :3] / spacing_zyx_mm(affine))


def voxel_to_world(affine: Affine, points_zyx: ArrayLike) -> NDArray[np.float64]:
    """World points (..., 3) as (x, y, z) mm, LPS, of voxel indices (..., 3) as (z, y, x)."""
    points = np.asarray(points_zyx, dtype=np.float64)
    return np.asarray(points @ affine[:3, :3].T + affine[:3, 3])


def world_to_voxel(affine: Affine, points_xyz_mm: ArrayLike) -> NDArray[np.float64]:
    """Continuous voxel indices (..., 3) as (z, y, x) of world points (..., 3) as (x, y, z) mm, LPS."""
    points = np.asarray(points_xyz_mm, dtype=np.float64)
    return np.asarray((points - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T)


def shift_origin(affine: Affine, first_voxel_zyx: ArrayLike) -> Affine:
    """Affine of the sub-array that starts at `first_voxel_zyx` (may be negative or fractional)."""
    shifted = affine.copy()
    shifted[:3, 3] = voxel_to_world(affine, first_voxel_zyx)
    return shifted
