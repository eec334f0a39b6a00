"""A receiving chest: its lungs, where a nodule may go, how noisy it is; and its variations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.synthetic.blending import grain, noise_of

_VESSEL_HU = -450.0
_CUT_OUT_HU = -900.0
_SOFT_EDGE_MM = 3.0
_WALL_MM = 5.0  # nearer to the edge of the lungs, dense voxels are the wall's
_QUIET_HU = -600.0
_DRAWN = 3000  # voxels that are looked at for a place


@dataclass(frozen=True, eq=False)
class Chest:
    """One scan on a 1 mm grid; arrays are (Z, Y, X)."""

    hu: NDArray[np.float32]
    lungs: NDArray[np.bool_]  # both, with what they enclose
    usable: NDArray[np.bool_]  # where something may be implanted: the lungs without known lesions
    affine: geometry.Affine
    thickness_mm: float  # distance of the slices that it was scanned with

    @cached_property
    def noise_hu(self) -> float:
        """Noise of the lung tissue, see `noise_of`."""
        return noise_of(np.where(self.lungs, self.hu, 0.0).astype(np.float32))

    @cached_property
    def depth_mm(self) -> NDArray[np.float32]:
        """Distance of each voxel of the lungs from the edge of the lungs, 0 outside."""
        depth, box = np.zeros(self.lungs.shape, dtype=np.float32), bounding_box(self.lungs)
        depth[box] = ndimage.distance_transform_edt(np.pad(self.lungs[box], 1))[1:-1, 1:-1, 1:-1]
        return depth

    @cached_property
    def voxels(self) -> NDArray[np.int64]:
        """Flat indices of the usable voxels."""
        return np.flatnonzero(self.usable)

    @cached_property
    def vessels(self) -> NDArray[np.int64]:
        """Flat indices of those of them that are vessels, or as dense."""
        flat = self.voxels
        return flat[(self.hu.ravel()[flat] > _VESSEL_HU) & (self.depth_mm.ravel()[flat] > _WALL_MM)]

    @cached_property
    def quiet(self) -> NDArray[np.int64]:
        """Voxels (n, 3) around which there is nothing but lung tissue."""
        drawn = np.stack(np.unravel_index(self.voxels[:: max(1, len(self.voxels) // _DRAWN)], self.hu.shape), axis=-1)
        boxes = [self.hu[tuple(slice(max(c - 4, 0), c + 5) for c in voxel)] for voxel in drawn]
        return drawn[[box.max() < _QUIET_HU for box in boxes]]

    def grain_like(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Noise of this scan from a place without structure, repeated to `shape`."""
        if not len(self.quiet):
            return np.zeros(shape, dtype=np.float32)
        box = tuple(slice(max(c - 5, 0), c + 6) for c in self.quiet[rng.integers(len(self.quiet))])
        tile = grain(self.hu[box])[..., 1:-1, 1:-1]
        missing = [(0, max(0, n - m)) for n, m in zip(shape, tile.shape, strict=True)]
        return np.pad(tile, missing, mode="reflect")[tuple(map(slice, shape))]


def without_lesions(chest: Chest, lesions_xyz_radius_mm: Sequence[Sequence[float]], *, cut_out: bool) -> Chest:
    """The chest whose known lesions, spheres in world mm, are not usable; with `cut_out` there is air in their place.

    For training they are cut out: they are not annotated, and would be shown as harmless.
    """
    hu, usable = chest.hu.copy(), chest.usable.copy()
    for *centre, radius in lesions_xyz_radius_mm:
        middle = geometry.world_to_voxel(chest.affine, centre)
        reach = radius + _SOFT_EDGE_MM
        box = tuple(slice(max(int(c - reach), 0), max(int(c + reach) + 2, 0)) for c in middle)
        grid = np.moveaxis(np.indices(hu[box].shape), 0, -1) + [s.start for s in box]
        away = np.linalg.norm(grid - middle, axis=-1)
        usable[box] &= away > reach
        if cut_out:
            weight = np.clip((radius + _SOFT_EDGE_MM - away) / _SOFT_EDGE_MM, 0, 1) * chest.lungs[box]
            hu[box] += (weight * (_CUT_OUT_HU - hu[box])).astype(np.float32)
    return replace(chest, hu=hu, usable=usable)


def zoomed(chest: Chest, rng: np.random.Generator) -> Chest:
    """The chest a little larger or smaller along each axis: other vessels. The grid is still said to be of 1 mm."""
    factors = rng.uniform(0.88, 1.14) * rng.uniform(0.95, 1.05, 3)
    hu = ndimage.zoom(chest.hu, factors, order=1, mode="nearest", grid_mode=True)
    lungs, usable = (
        ndimage.zoom(part.astype(np.uint8), factors, order=0, grid_mode=True, mode="nearest") > 0
        for part in (chest.lungs, chest.usable)
    )
    return replace(chest, hu=hu, lungs=lungs, usable=usable, thickness_mm=chest.thickness_mm * float(factors[0]))


def rescanned(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """HU (Z, Y, X) as another scanner might have shown them: kernel, slices, noise, contrast, depth of breath."""
    out = hu
    if rng.random() < 0.6:
        out = ndimage.gaussian_filter(out, (rng.uniform(0, 1.2), *[rng.uniform(0.2, 0.8)] * 2))
    elif rng.random() < 0.5:
        out = out + rng.uniform(0.2, 0.8) * grain(out)  # a sharper kernel
    lung, tissue = np.clip(out, None, -500), np.clip(out, -500, None) + 500
    out = lung * rng.uniform(0.96, 1.03) + rng.uniform(-15, 15) + tissue * rng.uniform(0.9, 1.12)
    noise = rng.standard_normal(out.shape, dtype=np.float32)
    if rng.random() < 0.5:
        noise = 3.0 * ndimage.gaussian_filter(noise, (0.6, 0.8, 0.8))
    return np.asarray(np.clip(out + rng.uniform(0, 22) * noise, -1024, 3071), dtype=np.float32)


def places(chest: Chest, radius_mm: float, attachment: str, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Up to `count` voxels (n, 3) at random where a nodule of this radius may have its middle.

    `attachment` is "free" (anywhere in the lungs), "pleura" (touching their edge) or "vessel" (touching a vessel).
    """
    reach = max(radius_mm, 1.5)
    pool = chest.vessels if attachment == "vessel" else chest.voxels
    if not len(pool):
        return np.empty((0, 3), dtype=np.int64)
    drawn = np.stack(np.unravel_index(pool[rng.integers(len(pool), size=_DRAWN)], chest.hu.shape), axis=-1)
    if attachment == "vessel":
        step = rng.standard_normal((_DRAWN, 3))
        drawn = np.rint(drawn + 0.7 * reach * step / np.linalg.norm(step, axis=1, keepdims=True)).astype(np.int64)
        drawn = np.clip(drawn, 0, np.array(chest.hu.shape) - 1)
    depth, usable = chest.depth_mm[tuple(drawn.T)], chest.usable[tuple(drawn.T)]
    low, high = (0.4 * reach, 0.9 * reach) if attachment == "pleura" else (reach + 1, np.inf)
    return drawn[usable & (depth > low) & (depth < high)][:count]
