"""From parallel slices at their real positions to an image on a rectilinear grid.

Only where the slices lie counts: not their number, not their order, not SliceThickness. Slices that are
missing, unevenly spaced or shifted (gantry tilt) are moved onto a grid by interpolation, and say so by a flag.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.readers.raw import AIR_HU, MAX_SLICES, RawImage, check_size, hu_int16
from lungline.storage.hdf5 import Flag

SAME_PLACE_MM = 0.01  # slices nearer than this lie at one position
MIN_SLICES = 3
_LEVEL = 0.05  # part of a step by which a slice may be off its place on a uniform grid
_MAX_ADJACENT_MISSING = 2
_MAX_MISSING = 0.02  # part of all slices
_MAX_UNEVEN = 2.0  # largest over smallest distance
_STRAIGHT_PIXELS = 0.25  # in-plane drift over the whole stack that is left as it is
_LINE_PIXELS = 1.0  # how far a slice may be off the line through all of them
_MAX_TILT_DEGREES = 35.0


@dataclass(frozen=True)
class Stack:
    """Parallel slices, sorted along their normal."""

    #: HU (K, J, I); rows j, columns i.
    array: NDArray[np.int16]
    #: (K, 3), world point (LPS) of the centre of the first voxel of each slice.
    positions_xyz_mm: NDArray[np.float64]
    #: (3,) each, unit world vectors of rising column and rising row.
    along_i_xyz: NDArray[np.float64]
    along_j_xyz: NDArray[np.float64]
    #: Distance of neighbouring columns, and of neighbouring rows.
    spacing_ij_mm: tuple[float, float]


def deskew(stack: Stack) -> tuple[RawImage, list[Flag]]:
    """The stack as an image whose axes are at right angles and whose spacing is even.

    `Quarantine` with `Q_TOO_FEW_SLICES`, `Q_MISSING_SLICES`, `Q_NONUNIFORM_SPACING`, `Q_NO_GEOMETRY`, `Q_BAD_TILT` or
    `Q_LIMIT`.
    """
    normal = np.cross(stack.along_i_xyz, stack.along_j_xyz)
    depths_mm = stack.positions_xyz_mm @ normal
    grid_mm, flags = uniform_grid(depths_mm)
    shifts_ij, tilt_flags = _in_plane_shifts(stack, depths_mm)
    corner_ij = shifts_ij.min(axis=0)
    array = _interpolate(stack.array, depths_mm, shifts_ij - corner_ij, grid_mm)
    spacing_i, spacing_j = stack.spacing_ij_mm
    affine = np.eye(4)
    affine[:3, 0] = stack.along_i_xyz * spacing_i
    affine[:3, 1] = stack.along_j_xyz * spacing_j
    affine[:3, 2] = normal * (grid_mm[-1] - grid_mm[0]) / (len(grid_mm) - 1)
    affine[:3, 3] = stack.positions_xyz_mm[0] + affine[:3, :2] @ corner_ij
    return RawImage(array, affine), flags + tilt_flags


def uniform_grid(depths_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[Flag]]:
    """Evenly spaced depths for slices at rising `depths_mm` (K,) along the normal, and what had to be done for it."""
    if len(depths_mm) < MIN_SLICES:
        raise Quarantine("Q_TOO_FEW_SLICES", f"{len(depths_mm)} slices at different places; expected {MIN_SLICES}")
    gaps = np.diff(depths_mm)
    steps = np.rint(gaps / np.median(gaps)).clip(1).astype(int)
    found = f"slices {gaps.min():.3f} to {gaps.max():.3f} mm apart"
    if steps.sum() > MAX_SLICES:
        raise Quarantine("Q_NONUNIFORM_SPACING", found)
    places = np.concatenate([[0], np.cumsum(steps)])
    grid = np.linspace(depths_mm[0], depths_mm[-1], int(places[-1]) + 1)
    step = grid[1] - grid[0]
    missing = int(steps.sum()) - len(gaps)
    if np.abs(depths_mm - grid[places]).max() <= _LEVEL * step:
        if not missing:
            return grid, []
        lost = f"{missing} of {len(grid)} slices missing, at most {steps.max() - 1} side by side"
        if steps.max() - 1 > _MAX_ADJACENT_MISSING or missing > _MAX_MISSING * len(grid):
            raise Quarantine("Q_MISSING_SLICES", lost)
        return grid, [Flag("W_GAP_FILLED", lost)]
    if gaps.max() > _MAX_UNEVEN * gaps.min():
        raise Quarantine("Q_NONUNIFORM_SPACING", found)
    n_even = round((depths_mm[-1] - depths_mm[0]) / float(np.median(gaps))) + 1
    return np.linspace(depths_mm[0], depths_mm[-1], n_even), [Flag("W_NONUNIFORM", found)]


def _in_plane_shifts(stack: Stack, depths_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[Flag]]:
    """Shift (K, 2) of each slice against the first, in pixels (i, j); zero where the stack is straight."""
    off = stack.positions_xyz_mm - stack.positions_xyz_mm[0]
    shifts_mm = np.stack([off @ stack.along_i_xyz, off @ stack.along_j_xyz], axis=1)
    shifts_ij = shifts_mm / stack.spacing_ij_mm
    if np.ptp(shifts_ij, axis=0).max() <= _STRAIGHT_PIXELS:
        return np.zeros_like(shifts_ij), []
    line = np.stack([depths_mm, np.ones_like(depths_mm)], axis=1)
    slope = np.linalg.lstsq(line, shifts_mm, rcond=None)[0]
    if np.abs((shifts_mm - line @ slope) / stack.spacing_ij_mm).max() > _LINE_PIXELS:
        raise Quarantine("Q_NO_GEOMETRY", "the positions of the slices do not lie on a straight line")
    tilt = float(np.degrees(np.arctan(np.linalg.norm(slope[0]))))
    if tilt > _MAX_TILT_DEGREES:
        raise Quarantine("Q_BAD_TILT", f"tilt of {tilt:.1f} degrees; at most {_MAX_TILT_DEGREES:.0f}")
    return shifts_ij, [Flag("W_TILT", f"tilt of {tilt:.2f} degrees, shear-corrected")]


def _interpolate(
    slices: NDArray[np.int16],
    depths_mm: NDArray[np.float64],
    shifts_ij: NDArray[np.float64],
    grid_mm: NDArray[np.float64],
) -> NDArray[np.int16]:
    """Slices (K, J, I) at `depths_mm`, each moved by its shift >= 0, read linearly at the depths of the grid."""
    straight = not shifts_ij.any()
    step = grid_mm[1] - grid_mm[0]
    if straight and len(grid_mm) == len(depths_mm) and np.abs(grid_mm - depths_mm).max() <= _LEVEL * step:
        return slices
    wider_i, wider_j = np.ceil(shifts_ij.max(axis=0)).astype(int)
    shape = (len(grid_mm), slices.shape[1] + int(wider_j), slices.shape[2] + int(wider_i))
    check_size(*shape[::-1])
    out = np.empty(shape, dtype=np.int16)
    for k, depth in enumerate(grid_mm):
        below = int(np.clip(np.searchsorted(depths_mm, depth, side="right") - 1, 0, len(depths_mm) - 2))
        weight = float((depth - depths_mm[below]) / (depths_mm[below + 1] - depths_mm[below]))
        if min(weight, 1 - weight) * (depths_mm[below + 1] - depths_mm[below]) <= _LEVEL * step:
            weight = float(round(weight))  # a slice that is in place stays as it was measured
        plane = np.zeros(shape[1:], dtype=np.float32)
        for part, index in ((1 - weight, below), (weight, below + 1)):
            if part > 0:
                plane += part * _shifted(slices[index], shifts_ij[index], shape[1:])
        out[k] = hu_int16(plane + AIR_HU)
    return out


def _shifted(plane: NDArray[np.int16], shift_ij: NDArray[np.float64], shape_ji: tuple[int, int]) -> NDArray[np.float32]:
    """A slice moved to the right and down by a shift in pixels, in HU above air; outside it there is air."""
    above_air = plane.astype(np.float32) - AIR_HU
    out = np.zeros(shape_ji, dtype=np.float32)
    (i, part_i), (j, part_j) = ((int(np.floor(s)), float(s - np.floor(s))) for s in shift_ij)
    rows, columns = plane.shape
    for dj, weight_j in ((0, 1 - part_j), (1, part_j)):
        for di, weight_i in ((0, 1 - part_i), (1, part_i)):
            if weight_i * weight_j > 0:
                out[j + dj : j + dj + rows, i + di : i + di + columns] += weight_i * weight_j * above_air
    return out
