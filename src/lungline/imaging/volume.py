"""A scan as an array that knows where it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.errors import GeometryError
from lungline.imaging import geometry


@dataclass(frozen=True)
class Volume:
    """Voxels and the affine that places them.

    Attributes
    ----------
    array : (Z, Y, X) array of any dtype
        C order. HU for a CT, bool for a mask, 0..1 for a probability.
    affine : (4, 4) float64
        Voxel index (z, y, x) to world (x, y, z) mm, LPS; see `lungline.imaging.geometry`.
    """

    array: NDArray
    affine: geometry.Affine

    def __post_init__(self) -> None:
        if self.array.ndim != 3 or 0 in self.array.shape:
            raise GeometryError(f"a volume must have three axes, none empty. Got shape {self.array.shape}.")
        object.__setattr__(self, "affine", geometry.check_affine(self.affine))

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

    def crop(self, box: tuple[slice, slice, slice]) -> Volume:
        """The part inside `box` (z, y, x slices with whole, non-negative starts), in its place."""
        first = [s.start or 0 for s in box]
        return Volume(self.array[box], geometry.shift_origin(self.affine, first))

    def part(self, shape_zyx: tuple[int, ...], affine: geometry.Affine) -> Volume:
        """The voxels of a grid that lies in this one, voxel on voxel, as the cache does in the resampled scan.

        Raises
        ------
        GeometryError
            If it does not.
        """
        first = geometry.world_to_voxel(self.affine, geometry.voxel_to_world(affine, (0, 0, 0)))
        whole = [round(float(n)) for n in first]
        box = tuple(slice(n, n + size) for n, size in zip(whole, shape_zyx, strict=True))
        inside = all(s.start >= 0 and s.stop <= n for s, n in zip(box, self.shape_zyx, strict=True))
        if not inside or not np.allclose(geometry.shift_origin(self.affine, whole), affine, atol=1e-3):
            raise GeometryError(f"expected a grid within {self.shape_zyx}, voxel on voxel. Got {shape_zyx} at {whole}.")
        return self.crop((box[0], box[1], box[2]))

    def to_lps(self) -> Volume:
        """The same voxels with axes turned so that z, y, x run closest to +z, +y, +x of LPS."""
        permutation, flips = geometry.closest_to_lps(self.affine)
        array = np.transpose(self.array, permutation)
        affine = self.affine.copy()
        affine[:3, :3] = self.affine[:3, list(permutation)]
        first = [n - 1 if flip else 0 for n, flip in zip(array.shape, flips, strict=True)]
        affine[:3, 3] = geometry.voxel_to_world(affine, first)
        affine[:3, :3] *= [-1.0 if flip else 1.0 for flip in flips]
        array = array[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
        return Volume(np.ascontiguousarray(array), affine)
