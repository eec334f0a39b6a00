"""Draw a chest on a grid of voxels.

Every object is an implicit function, its distance to the surface in mm, evaluated only inside its own box. The
share of a voxel that it covers (partial volume) is `clip(0.5 - distance / voxel, 0, 1)`; thin objects are also
sampled several times across thick slices. Large smooth organs are evaluated on a coarse grid and interpolated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.imaging.volume import Box

Array = NDArray[np.floating]
Distance = Callable[[Array, Array, Array], Array]

#: Slices thicker than this are sampled more than once through their thickness, for objects of a few mm.
FINE_MM = 0.8


@dataclass(frozen=True)
class Grid:
    """Voxel centres along z, y, x in mm, in the body's frame."""

    z: Array
    y: Array
    x: Array

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        return len(self.z), len(self.y), len(self.x)

    @cached_property
    def spacing_zyx_mm(self) -> tuple[float, float, float]:
        return tuple(float(axis[1] - axis[0]) for axis in (self.z, self.y, self.x))  # type: ignore[return-value]

    def box(self, low_xyz_mm: ArrayLike, high_xyz_mm: ArrayLike) -> Box:
        """Slices (z, y, x) of the voxels that a box touches."""
        slices = []
        corners = zip(np.asarray(low_xyz_mm)[::-1], np.asarray(high_xyz_mm)[::-1], strict=True)
        for axis, step, (low, high) in zip((self.z, self.y, self.x), self.spacing_zyx_mm, corners, strict=True):
            first = int(np.ceil((low - axis[0]) / step - 1))
            last = int(np.floor((high - axis[0]) / step + 1))
            slices.append(slice(max(first, 0), max(min(last + 1, len(axis)), 0)))
        return tuple(slices)  # type: ignore[return-value]

    def mesh(self, box: Box) -> tuple[Array, Array, Array]:
        """Broadcastable x, y, z (mm) of the voxel centres inside a box."""
        z, y, x = (axis[part] for axis, part in zip((self.z, self.y, self.x), box, strict=True))
        return x, y[:, None], z[:, None, None]


def make_grid(shape_zyx: Sequence[int], spacing_zyx_mm: Sequence[float], first_zyx_mm: Sequence[float]) -> Grid:
    """A grid whose first voxel centre lies at `first_zyx_mm`."""
    axes = zip(shape_zyx, spacing_zyx_mm, first_zyx_mm, strict=True)
    return Grid(*((first + step * np.arange(n)).astype(np.float32) for n, step, first in axes))


def coverage(distance: Array, width_mm: float) -> Array:
    """Share of a voxel, 0..1, inside a surface at this signed distance in mm (negative inside)."""
    share = np.subtract(np.float32(0.5), distance * np.float32(1 / width_mm), dtype=np.float32)
    return np.clip(share, 0, 1, out=share)


def blend(volume_hu: Array, share: Array, hu: ArrayLike) -> None:
    """Replace a share of every voxel by a substance, in place."""
    share *= np.subtract(hu, volume_hu, dtype=np.float32)
    volume_hu += share


def paint(
    volume_hu: Array,
    grid: Grid,
    low_xyz_mm: ArrayLike,
    high_xyz_mm: ArrayLike,
    distance: Distance,
    hu: float,
    *,
    most: float = 1.0,
) -> None:
    """Draw a small object of one HU inside its box, sampled through the thickness of the slices, in place.

    `most` is the share of a voxel that an object thinner than a voxel can cover.
    """
    box = grid.box(low_xyz_mm, high_xyz_mm)
    if any(part.start >= part.stop for part in box):
        return
    x, y, z = grid.mesh(box)
    dz, _, dx = grid.spacing_zyx_mm
    n = int(np.ceil(dz / FINE_MM))
    offsets = ((np.arange(n, dtype=np.float32) + 0.5) / n - 0.5) * dz
    share = coverage(distance(x, y, z[..., None] + offsets[:, None, None]), dx)
    share = share.mean(axis=1, dtype=np.float32) if n > 1 else share[:, 0]
    if most < 1:
        share *= np.float32(most)
    blend(volume_hu[box], share, hu)


def paint_capsule(volume_hu: Array, grid: Grid, start: NDArray, end: NDArray, r0: float, r1: float, hu: float) -> None:
    """Draw a rod with round ends from `start` to `end` (x, y, z mm) that tapers from radius r0 to r1, in place."""
    margin = max(r0, r1) + grid.spacing_zyx_mm[2]
    a = start.astype(np.float32)
    axis = (end - start).astype(np.float32)
    scaled = axis / max(float(axis @ axis), 1e-6)

    def distance(x: Array, y: Array, z: Array) -> Array:
        x, y, z = x - a[0], y - a[1], z - a[2]
        t = np.clip(x * scaled[0] + y * scaled[1] + z * scaled[2], 0, 1)
        square = (x - t * axis[0]) ** 2
        square += (y - t * axis[1]) ** 2
        square += (z - t * axis[2]) ** 2
        t *= np.float32(r1 - r0)
        t += np.float32(r0)
        return np.asarray(np.sqrt(square, out=square) - t)

    thin = min(1.0, (r0 + r1) / grid.spacing_zyx_mm[2])
    low, high = np.minimum(start, end) - margin, np.maximum(start, end) + margin
    paint(volume_hu, grid, low, high, distance, hu, most=thin)


def ball_distance(centre: ArrayLike, radius_mm: float) -> Distance:
    """Signed distance to a ball."""
    cx, cy, cz = np.asarray(centre, dtype=np.float32)
    return lambda x, y, z: np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) - np.float32(radius_mm)


def ellipsoid_distance(centre: ArrayLike, half_axes_mm: ArrayLike, frame: ArrayLike) -> Distance:
    """Signed distance to an ellipsoid, exact to first order at the surface; row k of `frame` is its axis k."""
    cx, cy, cz = np.asarray(centre, dtype=np.float32)
    rows = np.asarray(frame, dtype=np.float32) / np.asarray(half_axes_mm, dtype=np.float32)[:, None]
    half = np.asarray(half_axes_mm, dtype=np.float32)

    def distance(x: Array, y: Array, z: Array) -> Array:
        x, y, z = x - cx, y - cy, z - cz
        rho = slope = np.float32(1e-6)
        for row, axis in zip(rows, half, strict=True):
            square = (row[0] * x + row[1] * y + row[2] * z) ** 2
            rho = rho + square
            slope = slope + square / axis**2
        return np.asarray((rho - np.sqrt(rho)) / np.sqrt(slope))

    return distance


def interpolate(coarse: Array, axes: Sequence[Array], grid: Grid, box: Box) -> Array:
    """A coarse field (z, y, x) with these coordinates, linearly interpolated to the voxels inside a box."""
    fine = coarse
    for k in (1, 2, 0):
        wanted = (grid.z, grid.y, grid.x)[k][box[k]]
        place = np.clip((wanted - axes[k][0]) / (axes[k][1] - axes[k][0]), 0, len(axes[k]) - 1)
        index = np.minimum(place.astype(np.int64), len(axes[k]) - 2)
        weight = (place - index).astype(np.float32).reshape([-1 if j == k else 1 for j in range(3)])
        low = fine.take(index, axis=k)
        high = fine.take(index + 1, axis=k)
        high -= low
        high *= weight
        low += high
        fine = low
    return fine


def add_noise(volume_hu: Array, rng: np.random.Generator, sigma_hu: float) -> None:
    """Noise of this standard deviation, correlated over neighbouring voxels of a slice, in place."""
    _, y, x = volume_hu.shape
    white = rng.standard_normal((len(volume_hu), y + 1, x + 1), dtype=np.float32)
    white *= np.float32(sigma_hu / 2)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        volume_hu += white[:, dy : y + dy, dx : x + dx]
