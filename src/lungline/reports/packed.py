"""Volumes encoded for a page: 256 grey levels, deflated, base64, at the finest resolution that fits."""

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box
from lungline.imaging.volume import Volume
from lungline.nodules.table import NoduleRow

#: HU of each grey level: lung and bone coarsely, soft tissue finely; what lies beyond is clipped.
LEVELS_HU = np.concatenate([np.arange(-1024, -300, 12), np.arange(-300, 300, 5), np.arange(300, 1501, 20)])
#: Base64 characters that the scan may take; with crops and page it stays below 10 MB.
ROOM = 6_500_000
#: Voxels (z, y, x) that are averaged into one, sharpest first.
_BLOCKS = ((1, 1, 1), (2, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (6, 6, 6))
_AROUND_MM = 15.0  # shown around the lungs
_CROP_MM = 20.0  # from the centre of a candidate to where its sharp crop ends
FADE_MM = 10.0  # over which a crop passes into the scan, so that no edge is seen
_FAINTEST = 26  # of 255: a probability below 0.1 is not shown


@dataclass(frozen=True)
class Layer:
    """A box of voxels of the page.

    Attributes
    ----------
    text : str
        uint8 (Z, Y, X), deflated (zlib), base64.
    shape_zyx : tuple of int
    first_zyx : tuple of float
        The outer edge of the first voxel, as an index on the base grid.
    step_zyx : tuple of int
        Base voxels a voxel.
    differences : bool
        Whether each voxel but the first of a row is stored as the difference from the one before, modulo 256.
    """

    text: str
    shape_zyx: tuple[int, ...]
    first_zyx: tuple[float, ...]
    step_zyx: tuple[int, ...]
    differences: bool


@dataclass(frozen=True)
class Packed:
    """All layers of a page; `affine` and `shape_zyx` are those of the base grid."""

    shape_zyx: tuple[int, int, int]
    affine: geometry.Affine
    ct: Layer
    crops: tuple[Layer, ...]
    probability: Layer | None


def pack(ct: Volume, lungs: Volume, probability: Volume | None, nodules: Sequence[NoduleRow]) -> Packed:
    """The scan around the lungs, sharp crops of the candidates where it is blurred, and the probability.

    Parameters
    ----------
    ct, lungs : Volume
        HU of the unmasked scan, and bool; one grid.
    probability : Volume or None
        0..1, on a grid that lies in that of `ct` voxel on voxel.
    nodules : sequence of NoduleRow
    """
    points = [geometry.world_to_voxel(ct.affine, (n.x_mm, n.y_mm, n.z_mm)) for n in nodules]
    base = ct.crop(_region(lungs, points))
    levels = levels_of(base.array)
    shift = geometry.world_to_voxel(ct.affine, geometry.voxel_to_world(base.affine, (0, 0, 0)))
    blocks, scan = _sharpest(base.array, levels)
    crops: list[Layer] = []
    if blocks != (1, 1, 1):
        for nodule, point in zip(nodules, points, strict=True):
            reach = np.ceil(crop_radius_mm(nodule) / ct.spacing_zyx_mm)
            low = np.maximum(np.rint(point - shift - reach), 0).astype(int)
            high = np.minimum(np.rint(point - shift + reach) + 1, base.shape_zyx).astype(int)
            part = levels[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
            crops.append(_layer(part, low - 0.5, (1, 1, 1), differences=True))
    shown = None
    if probability is not None:
        first = geometry.world_to_voxel(base.affine, geometry.voxel_to_world(probability.affine, (0, 0, 0)))
        shown = _pack_probability(probability.array, np.rint(first))
    return Packed(base.shape_zyx, base.affine, scan, tuple(crops), shown)


def crop_radius_mm(nodule: NoduleRow) -> float:
    """From the centre of a candidate to where its sharp crop ends; it is whole within `FADE_MM` less."""
    return max(_CROP_MM, nodule.long_axis_mm / 2 + FADE_MM)


def _region(lungs: Volume, points_zyx: Sequence[NDArray[np.float64]]) -> tuple[slice, slice, slice]:
    box = bounding_box(lungs.array)
    corners = np.array([[s.start for s in box], [s.stop - 1 for s in box], *points_zyx])
    margin = _AROUND_MM / lungs.spacing_zyx_mm
    low = np.maximum(np.floor(corners.min(axis=0) - margin), 0).astype(int)
    high = np.minimum(np.ceil(corners.max(axis=0) + margin) + 1, lungs.shape_zyx).astype(int)
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return z, y, x


def levels_of(hu: NDArray) -> NDArray[np.uint8]:
    """The nearest grey level of each HU, an index into `LEVELS_HU`."""
    every_hu = np.arange(LEVELS_HU[0], LEVELS_HU[-1] + 1)
    table = np.searchsorted((LEVELS_HU[1:] + LEVELS_HU[:-1]) / 2, every_hu).astype(np.uint8)
    low, high = map(float, LEVELS_HU[[0, -1]])  # an integer of NumPy would make float64 of float32
    index = np.rint(hu)
    np.clip(index, low, high, out=index)
    index -= low
    return table[index.astype(np.int16)]


def _sharpest(hu: NDArray, levels: NDArray[np.uint8]) -> tuple[tuple[int, int, int], Layer]:
    """The smallest blocks with which the scan has room; a few slices tell how much it will take."""
    for blocks in _BLOCKS:
        thick = blocks[0]
        some = [slice(z, z + thick) for z in range(0, max(len(hu) - thick + 1, 1), 12 * thick)]
        whole = blocks == (1, 1, 1)  # no means
        slabs = (levels[slab] if whole else _blocked(hu[slab], blocks) for slab in some)
        one = np.mean([len(_deflated(slab, differences=True)) for slab in slabs])
        if one * len(hu) / thick * 4 / 3 < ROOM:
            break
    voxels = levels if blocks == (1, 1, 1) else _blocked(hu, blocks)
    return blocks, _layer(voxels, (-0.5, -0.5, -0.5), blocks, differences=True)


def _blocked(hu: NDArray, blocks: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Levels of the means of blocks; what is left over at the ends is filled up with the last voxels."""
    padded = np.pad(hu, [(0, -n % b) for n, b in zip(hu.shape, blocks, strict=True)], mode="edge")
    z, y, x = (n // b for n, b in zip(padded.shape, blocks, strict=True))
    return levels_of(padded.reshape(z, blocks[0], y, blocks[1], x, blocks[2]).mean(axis=(1, 3, 5)))


def _pack_probability(probability: NDArray, first_zyx: NDArray[np.float64]) -> Layer | None:
    shown = np.rint(255 * np.clip(probability.astype(np.float32), 0, 1)).astype(np.uint8)
    shown[shown < _FAINTEST] = 0
    if not shown.any():
        return None
    box = bounding_box(shown > 0)
    return _layer(shown[box], first_zyx + [s.start for s in box] - 0.5, (1, 1, 1), differences=False)


def _layer(
    voxels: NDArray[np.uint8],
    first_zyx: Sequence[float] | NDArray,
    step_zyx: tuple[int, int, int],
    *,
    differences: bool,
) -> Layer:
    text = base64.b64encode(_deflated(voxels, differences=differences)).decode("ascii")
    return Layer(text, voxels.shape, tuple(float(f) for f in first_zyx), step_zyx, differences)


def _deflated(voxels: NDArray[np.uint8], *, differences: bool) -> bytes:
    stored = voxels
    if differences:
        stored = voxels.copy()
        stored[..., 1:] -= voxels[..., :-1]  # modulo 256
    return zlib.compress(np.ascontiguousarray(stored).tobytes(), 6)
