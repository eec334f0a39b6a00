"""A scan as an array that knows where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from lungline.errors import GeometryError
from lungline.imaging import geometry

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Volume:
    """Voxels and the affine that places them.

    Attributes
    ----------
    array : numpy.ndarray
        [z, y, x], C order: HU of a CT, bool of a mask, 0..1 of a probability, unsigned integers of a label map.
    affine : numpy.ndarray
        float64 (4, 4): voxel index (z, y, x, 1), voxel centres at whole numbers, to world (x, y, z, 1) in mm, LPS: x to
        the patient's left, y to the back, z to the head.

    Raises
    ------
    GeometryError
        If the array has not three axes, one is empty, or the affine is not one.

    Examples
    --------
    >>> import lungline, numpy
    >>> lungline.Volume(numpy.zeros((60, 128, 128), "int16"), lungline.make_affine((2.5, 0.7, 0.7)))
    Volume(int16 [z, y, x] = (60, 128, 128), spacing_zyx_mm = (2.5, 0.7, 0.7), LPS)
    """

    array: NDArray
    affine: geometry.Affine

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise GeometryError(f"a volume must have three axes, none empty. Got shape {self.array.shape}.")
        object.__setattr__(self, "affine", geometry.check_affine(self.affine))

    def __repr__(self) -> str:
        spacing = ", ".join(f"{step:.4g}" for step in self.spacing_zyx_mm)
        return f"Volume({self.array.dtype} [z, y, x] = {self.array.shape}, spacing_zyx_mm = ({spacing}), LPS)"

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        return self.array.shape

    @property
    def spacing_zyx_mm(self) -> NDArray[np.float64]:
        return geometry.spacing_zyx_mm(self.affine)

    def with_array(self, array: NDArray) -> Volume:
        """Another quantity on the same grid; the shape must be the same."""
        if array.shape != self.array.shape:
            raise GeometryError(f"expected shape {self.array.shape} of the same grid. Got {array.shape}.")
        return Volume(array, self.affine)

    def crop(self, box: Box) -> Volume:
        """The part inside `box` (z, y, x slices with whole, non-negative starts), in its place."""
        first = [s.start or 0 for s in box]
        return Volume(self.array[box], geometry.shift_origin(self.affine, first))

    def part(self, shape_zyx: tuple[int, ...], affine: geometry.Affine) -> Volume:
        """The voxels of a grid that lies in this one, voxel on voxel, as the cache does in the resampled scan.

        `GeometryError` if it does not.
        """
        first = geometry.world_to_voxel(self.affine, geometry.voxel_to_world(affine, (0, 0, 0)))
        whole = [round(float(n)) for n in first]
        box = tuple(slice(n, n + size) for n, size in zip(whole, shape_zyx, strict=True))
        inside = all(s.start >= 0 and s.stop <= n for s, n in zip(box, self.shape_zyx, strict=True))
        if not inside or not np.allclose(geometry.shift_origin(self.affine, whole), affine, atol=1e-3):
            raise GeometryError(f"expected a grid within {self.shape_zyx}, voxel on voxel. Got {shape_zyx} at {whole}.")
        return self.crop((box[0], box[1], box[2]))

    def flipped(self, axis: int) -> Volume:
        """The same voxels with one array axis run through backwards."""
        affine = self.affine.copy()
        affine[:3, 3] += (self.array.shape[axis] - 1) * affine[:3, axis]
        affine[:3, axis] *= -1
        return Volume(np.flip(self.array, axis), affine)

    def to_lps(self) -> Volume:
        """The same voxels with axes turned so that z, y, x run closest to +z, +y, +x of LPS."""
        cosines = geometry.direction(self.affine)  # rows x, y, z of the world; columns are array axes
        order = max(permutations(range(3)), key=lambda old: sum(abs(cosines[2 - k, old[k]]) for k in range(3)))
        flips = [cosines[2 - k, order[k]] < 0 for k in range(3)]
        array = np.transpose(self.array, order)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, list(order)]
        first = [n - 1 if flip else 0 for n, flip in zip(array.shape, flips, strict=True)]
        affine[:3, 3] = geometry.voxel_to_world(affine, first)
        affine[:3, :3] *= [-1.0 if flip else 1.0 for flip in flips]
        array = array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        return Volume(np.ascontiguousarray(array), affine)


def overlap(
    shape: Sequence[int], piece: Sequence[int], first_zyx: Sequence[int] | NDArray[np.int64]
) -> tuple[Box, Box]:
    """Where a piece whose first voxel is at `first_zyx` lies in a volume, and which part of the piece that is."""
    first = [int(f) for f in first_zyx]
    there = [slice(max(f, 0), max(f, 0, min(f + n, m))) for f, n, m in zip(first, piece, shape, strict=True)]
    own = [slice(s.start - f, s.stop - f) for s, f in zip(there, first, strict=True)]
    return (there[0], there[1], there[2]), (own[0], own[1], own[2])
