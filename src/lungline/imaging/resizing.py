"""Resizing a volume to a cube of voxels, as method 1 of the paper needs it.

Each axis is resized by its own factor. A new voxel is the mean of the old ones under a triangle around its
centre, two new voxels wide where the volume shrinks (so that nothing finer than the new grid survives as a
false pattern) and two old voxels wide where it grows (linear interpolation). It is separable: three matrix
products. Outer edges of both grids coincide.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from lungline.imaging import geometry
from lungline.imaging.resampling import apply_operators
from lungline.imaging.volume import Volume


def resize(volume: Volume, size: int) -> Volume:
    """The volume (Z, Y, X) on a grid of `size` voxels per axis, float32; the affine is that of the new grid."""
    steps = np.array(volume.shape_zyx) / size
    affine = volume.affine.copy()
    affine[:3, :3] = volume.affine[:3, :3] * steps
    affine[:3, 3] = geometry.voxel_to_world(volume.affine, (steps - 1) / 2)
    operators = [triangle_operator(n, size) for n in volume.shape_zyx]
    return Volume(apply_operators(operators, volume.array, np.float32(0)), affine)


@lru_cache(maxsize=64)
def triangle_operator(n_in: int, n_out: int) -> NDArray[np.float32]:
    """Matrix (n_out, n_in) of triangle weights, each row summing to 1; old voxels beyond the end do not count."""
    step = n_in / n_out
    centres = (np.arange(n_out) + 0.5) * step - 0.5
    distance = np.abs(np.arange(n_in) - centres[:, None])
    weights = np.maximum(0.0, 1 - distance / max(step, 1.0))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)
