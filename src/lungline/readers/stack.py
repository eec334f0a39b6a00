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
CLOSEST = 0.55  # part of a step: slices nearer than this lie at nearly one position
_LEVEL = 0.05  # part of a step by which a slice may be off its place on a uniform grid
_MAX_ADJACENT_MISSING = 2
_MAX_MISSING = 0.02  # part of all slices
_MAX_MISSING_JOINED = 0.05  # of several acquisitions, where the choice is to lose one of them
_ONE_IN = 15  # slices: as many may be missing, but no more than one of each acquisition
_MAX_UNEVEN = 2.0  # largest over smallest distance
_FEW_SEAMS = 0.1  # part of all distances that may be another where even runs of slices meet
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
    #: (K - 1,), whether a new acquisition begins after a slice; none if not given.
    seams: NDArray[np.bool_] | None = None


def deskew(stack: Stack) -> tuple[RawImage, list[Flag]]:
    """The stack as an image whose axes are at right angles and whose spacing is even.

    `Quarantine` with `Q_TOO_FEW_SLICES`, `Q_MISSING_SLICES`, `Q_NONUNIFORM_SPACING`, `Q_NO_GEOMETRY`, `Q_BAD_TILT` or
    `Q_LIMIT`.
    """
    normal = np.cross(stack.along_i_xyz, stack.along_j_xyz)
    depths_mm = stack.positions_xyz_mm @ normal
    grid_mm, flags = uniform_grid(depths_mm, stack.seams)
    shifts_ij, tilt_flags = _in_plane_shifts(stack, depths_mm)
    corner_ij = shifts_ij.min(axis=0)
    array = _interpolate(stack.array, depths_mm, shifts_ij - corner_ij, grid_mm)
    spacing_i, spacing_j = stack.spacing_ij_mm
    affine = np.eye(4)
    affine[:3, 0] = stack.along_i_xyz * spacing_i
    affine[:3, 1] = stack.along_j_xyz * spacing_j
    affine[:3, 2] = normal * (grid_mm[-1] - grid_mm[0]) / (len(grid_mm) - 1)
    first = stack.positions_xyz_mm[0] + normal * (grid_mm[0] - depths_mm[0])
    affine[:3, 3] = first + affine[:3, :2] @ corner_ij
    return RawImage(array, affine), flags + tilt_flags


def can_be_deskewed(stack: Stack) -> bool:
    """Whether `deskew` takes slices that lie so; the array is not looked at."""
    depths_mm = stack.positions_xyz_mm @ np.cross(stack.along_i_xyz, stack.along_j_xyz)
    if np.diff(depths_mm).min() <= SAME_PLACE_MM:
        return False
    try:
        uniform_grid(depths_mm, stack.seams)
        _in_plane_shifts(stack, depths_mm)
    except Quarantine:
        return False
    return True


def uniform_grid(
    depths_mm: NDArray[np.float64], seams: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float64], list[Flag]]:
    """Evenly spaced depths for slices at rising `depths_mm` (K,) along the normal, and what had to be done for it.

    Where even runs of slices meet off one another's grid, the grid is that of the longest run. `seams` (K - 1,) says
    where acquisitions meet: slices missing there are filled, too, and do not count as missing of the whole.
    """
    if len(depths_mm) < MIN_SLICES:
        raise Quarantine("Q_TOO_FEW_SLICES", f"{len(depths_mm)} slices at different places; expected {MIN_SLICES}")
    gaps = np.diff(depths_mm)
    step = float(np.median(gaps))
    steps = np.rint(gaps / step).clip(1).astype(int)
    seams = np.zeros(len(gaps), dtype=bool) if seams is None else seams
    uneven = Quarantine("Q_NONUNIFORM_SPACING", f"slices {gaps.min():.3f} to {gaps.max():.3f} mm apart")
    if steps.sum() > MAX_SLICES:
        raise uneven
    places = np.concatenate([[0], np.cumsum(steps)])
    grid = np.linspace(depths_mm[0], depths_mm[-1], int(places[-1]) + 1)
    if np.abs(depths_mm - grid[places]).max() <= _LEVEL * (grid[1] - grid[0]):
        wide = _in_runs(steps == _MAX_UNEVEN)  # nothing is missing there: the distance was another
        changes = [Flag("W_NONUNIFORM", uneven.detail)] if wide.any() else []
        return grid, changes + _filled(np.where(wide, 0, steps - 1), seams)
    regular = np.abs(gaps - step) <= 2 * _LEVEL * step
    in_runs = float(np.mean(~regular)) <= _FEW_SEAMS and gaps.min() >= CLOSEST * step
    if not in_runs and gaps.max() > _MAX_UNEVEN * gaps.min():
        raise uneven
    if in_runs:
        filled = _filled(np.floor(gaps / step + _LEVEL).astype(int) - 1, seams)
        return _grid_of_longest_run(depths_mm, regular), [Flag("W_NONUNIFORM", uneven.detail), *filled]
    n_even = round((depths_mm[-1] - depths_mm[0]) / step) + 1
    return np.linspace(depths_mm[0], depths_mm[-1], n_even), [Flag("W_NONUNIFORM", uneven.detail)]


def _in_runs(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a mask (K - 1,) is true at least `MIN_SLICES` times side by side."""
    ends = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).reshape(-1, 2)
    out = np.zeros_like(mask)
    for start, end in ends[np.ptp(ends, axis=1) >= MIN_SLICES]:
        out[start:end] = True
    return out


def _filled(missing: NDArray[np.int_], seams: NDArray[np.bool_]) -> list[Flag]:
    """What to say of slices that are missing in each gap (K - 1,); `Quarantine` if they are too many."""
    missing = missing.clip(0)
    total, adjacent = int(missing.sum()), int(missing.max())
    if not total:
        return []
    count = len(missing) + 1 + total
    lost = f"{total} of {count} slices missing, at most {adjacent} side by side"
    part = (_MAX_MISSING_JOINED if seams.any() else _MAX_MISSING) * count
    most = max(part, min(count // _ONE_IN, np.count_nonzero(seams) + 1))
    if adjacent > _MAX_ADJACENT_MISSING or missing[~seams].sum() > most:
        raise Quarantine("Q_MISSING_SLICES", lost)
    between = int(missing[seams].sum())
    return [Flag("W_GAP_FILLED", lost + (f", {between} of them where acquisitions meet" if between else ""))]


def _grid_of_longest_run(depths_mm: NDArray[np.float64], regular: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Depths on the grid of the longest run of regular gaps, as far as there are slices within half a step."""
    ends = np.flatnonzero(~np.concatenate([[False], regular, [False]]))
    longest = int(np.argmax(np.diff(ends)))
    first, last = int(ends[longest]), int(ends[longest + 1]) - 1
    step = (depths_mm[last] - depths_mm[first]) / (last - first)
    below = int(np.floor((depths_mm[first] - depths_mm[0]) / step + 0.5))
    above = int(np.floor((depths_mm[-1] - depths_mm[first]) / step + 0.5))
    return depths_mm[first] + step * np.arange(-below, above + 1)


def _in_plane_shifts(stack: Stack, depths_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[Flag]]:
    """Shift (K, 2) of each slice against the first, in pixels (i, j); zero where the stack is straight.

    Slices of one acquisition lie on a line; acquisitions may lie aside of one another.
    """
    off = stack.positions_xyz_mm - stack.positions_xyz_mm[0]
    shifts_mm = np.stack([off @ stack.along_i_xyz, off @ stack.along_j_xyz], axis=1)
    shifts_ij = shifts_mm / stack.spacing_ij_mm
    if np.ptp(shifts_ij, axis=0).max() <= _STRAIGHT_PIXELS:
        return np.zeros_like(shifts_ij), []
    seams = np.zeros(len(depths_mm) - 1, dtype=bool) if stack.seams is None else stack.seams
    runs = np.concatenate([[0], np.cumsum(seams)])
    line = np.column_stack([depths_mm, *(runs == run for run in range(runs[-1] + 1))]).astype(np.float64)
    slope = np.linalg.lstsq(line, shifts_mm, rcond=None)[0]
    if np.abs((shifts_mm - line @ slope) / stack.spacing_ij_mm).max() > _LINE_PIXELS:
        raise Quarantine("Q_NO_GEOMETRY", "the positions of the slices do not lie on a straight line")
    tilt = float(np.degrees(np.arctan(np.linalg.norm(slope[0]))))
    if tilt > _MAX_TILT_DEGREES:
        raise Quarantine("Q_BAD_TILT", f"tilt of {tilt:.1f} degrees; at most {_MAX_TILT_DEGREES:.0f}")
    aside = float(np.linalg.norm(np.ptp(slope[1:], axis=0)))
    off = f"; acquisitions up to {aside:.1f} mm aside of one another" if aside > max(stack.spacing_ij_mm) / 4 else ""
    return shifts_ij, [Flag("W_TILT", f"tilt of {tilt:.2f} degrees, shear-corrected{off}")]


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
        weight = float(np.clip((depth - depths_mm[below]) / (depths_mm[below + 1] - depths_mm[below]), 0, 1))
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
