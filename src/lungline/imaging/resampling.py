"""Cubic B-spline resampling onto an exact grid (paper, section 3).

The cubic spline through samples, read at new positions, is linear in the samples and separable in the
axes. So one small matrix per axis holds all of it, and resampling a volume is three matrix products.

`scipy.ndimage.zoom` puts the first and last voxel centres of both grids on one another, so its result does
not have the spacing that was asked for. Here the new grid has exactly the spacing, its first voxel's outer
edge lies where the old one's did, and the affine returned is the one that the interpolation used.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lungline.errors import GeometryError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume

#: Rows of an operator that are applied together: more are quicker to multiply, fewer see fewer old voxels.
_BLOCK = 24


def resample(ct: Volume, *, spacing_mm: float = 1.0) -> Volume:
    """The volume (any real dtype) as float32 on a grid of exactly `spacing_mm`, every voxel at its physical place.

    An axis of the new grid has round(n * spacing / spacing_mm) voxels, at least 1. Beyond the outermost voxel centres
    the signal is continued as a mirror image (scipy's ``mode="mirror"``). Source: paper section 3 (1 mm isotropic,
    spline of order 3).
    """
    if not spacing_mm > 0:
        raise GeometryError(f"spacing_mm must be positive. Got {spacing_mm}.")
    steps = spacing_mm / ct.spacing_zyx_mm  # new step in old voxels
    starts = (steps - 1) / 2  # outer edges coincide
    shape = [max(1, round(n / step)) for n, step in zip(ct.shape_zyx, steps, strict=True)]
    affine = ct.affine.copy()
    affine[:3, :3] = geometry.direction(ct.affine) * spacing_mm
    affine[:3, 3] = geometry.voxel_to_world(ct.affine, starts)
    middle = np.float32((float(ct.array.min()) + float(ct.array.max())) / 2)  # smaller numbers, smaller rounding
    with threadpool_limits(1, user_api="blas"):  # more threads add up in another order, and end in another last digit
        operators = [
            spline_operator(n_in, n_out, float(start), float(step))
            for n_in, n_out, start, step in zip(ct.shape_zyx, shape, starts, steps, strict=True)
        ]
        return Volume(apply_operators(operators, ct.array, middle), affine)


def apply_operators(operators: list[NDArray[np.float32]], array: NDArray, middle: np.float32) -> NDArray[np.float32]:
    """The operators A of the axes: out[i, j, k] = sum over z, y, x of A_z[i, z] A_y[j, y] A_x[k, x] array[z, y, x].

    Operators are (n_out, n_in) float32, `array` is (Z, Y, X). Each row of an operator sums to 1, so `middle` can be
    taken off before and put back after. A row is zero but for a few neighbours, so blocks of rows are multiplied with
    the part of the array that they see; of the slices along z, only those that the next block sees are held.
    """
    blocks_z, blocks_y, blocks_x = map(_blocks, operators)
    out = np.empty([len(operator) for operator in operators], dtype=np.float32)
    held = np.empty((max(seen.stop - seen.start for _, seen, _ in blocks_z), *out.shape[1:]), dtype=np.float32)
    first = done = 0  # `held` begins with the old slices first..done - 1, resampled in their plane
    along_x = np.empty((array.shape[1], out.shape[2]), dtype=np.float32)
    for rows, seen, weights in blocks_z:
        still_seen = held[seen.start - first : max(done, seen.start) - first]
        held[: len(still_seen)] = still_seen
        first = seen.start
        for z in range(max(done, first), seen.stop):
            plane = np.subtract(array[z], middle, dtype=np.float32)
            for columns, near, factors in blocks_x:
                along_x[:, columns] = plane[:, near] @ factors.T
            for lines, near, factors in blocks_y:
                np.matmul(factors, along_x[near], out=held[z - first, lines])
        done = seen.stop
        block = out[rows].reshape(len(weights), -1)
        np.matmul(weights, held[: done - first].reshape(done - first, -1), out=block)
        block += middle
    return out


def _blocks(operator: NDArray[np.float32]) -> list[tuple[slice, slice, NDArray[np.float32]]]:
    """Rows of an operator (n_out, n_in) by the block: which rows, the columns that are not all zero, what is there."""
    found = []
    for start in range(0, len(operator), _BLOCK):
        rows = slice(start, min(start + _BLOCK, len(operator)))
        used = np.flatnonzero(operator[rows].any(axis=0))
        seen = slice(int(used[0]), int(used[-1]) + 1)
        found.append((rows, seen, np.ascontiguousarray(operator[rows, seen])))
    return found


@lru_cache(maxsize=32)
def spline_operator(n_in: int, n_out: int, start: float, step: float) -> NDArray[np.float32]:
    """Matrix (n_out, n_in) that reads the cubic spline through n_in samples at `start + i * step`.

    Samples -> coefficients is the inverse of a tridiagonal matrix (1/6, 4/6, 1/6) with mirrored ends;
    coefficients -> values is four weights of the cubic B-spline a position.
    """
    if n_in == 1:
        return np.ones((n_out, 1), dtype=np.float32)
    basis = np.diag(np.full(n_in, 4 / 6)) + np.diag(np.full(n_in - 1, 1 / 6), 1) + np.diag(np.full(n_in - 1, 1 / 6), -1)
    basis[0, 1] = basis[-1, -2] = 2 / 6
    positions = start + step * np.arange(n_out)
    whole = np.floor(positions).astype(np.int64)
    t = positions - whole
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3]) / 6
    reader = np.zeros((n_out, n_in))
    for tap, weight in enumerate(weights):
        np.add.at(reader, (np.arange(n_out), _mirror(whole + tap - 1, n_in)), weight)
    operator = np.linalg.solve(basis.T, reader.T).T
    operator[np.abs(operator) < 3e-8] = 0.0  # of 2000 HU, 0.00006: below float32's rounding in the products
    return np.ascontiguousarray(operator, dtype=np.float32)


def _mirror(index: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Index reflected at the centres of the first and the last sample."""
    period = 2 * (n - 1)
    folded = np.mod(index, period)
    return np.where(folded >= n, period - folded, folded)
