"""Whole lung regions for the cancer network (method 1): padded to one shape, or cubes of the resized volume."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lungline.config.entries import VolumeInput
from lungline.errors import LunglineError
from lungline.imaging.intensity import lung_region, scale_hu
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class PatientVolume:
    """One patient, whose lung region is read whenever it is needed, for a network whose input has `shape_zyx`.

    `path` is a cached volume (`input.pad_to`), or a resized one (`input.resize_to`).
    """

    scan: str
    label: int
    path: Path
    input: VolumeInput
    shape_zyx: Shape
    features: ClassVar[None] = None  # a whole volume has no candidate to measure

    @property
    def cubes(self) -> NDArray[np.float16]:
        """The input that is scored: (n, 1, D, H, W) float16, n = 9 crops or 1 volume."""
        return fixed_crops(read_region(self.path, self.input, self.shape_zyx)[0], self.input.crop)

    def sample(self, rng: np.random.Generator) -> NDArray[np.float16]:
        """The input of a training step: (1, 1, D, H, W) float16, a random crop or the volume."""
        volume, _ = read_region(self.path, self.input, self.shape_zyx)
        if self.input.crop is None:
            return volume[None, None]
        first = [int(rng.integers(n - self.input.crop + 1)) for n in volume.shape]
        return _cut(volume, first, self.input.crop)[None, None]


def read_region(path: Path, wanted: VolumeInput, shape_zyx: Shape) -> tuple[NDArray[np.float16], tuple[Flag, ...]]:
    """A patient's lung region as the network's settings want it, before any crop: scaled HU 0..1, (D, H, W).

    It is resized, or has air (0) on all sides to `shape_zyx`; W_VOLUME_CROPPED comes with it if it is larger and lost
    its rim. `LunglineError` if a resized volume is not of the size that the settings name.
    """
    if wanted.resize_to is not None:
        volume: NDArray[np.float16] = hdf5.read_array(path, "volume")
        if volume.shape != (wanted.resize_to,) * 3:
            raise LunglineError(
                f"{path}: a volume of {volume.shape} (z, y, x), but input.resize_to is {wanted.resize_to}. "
                "Run resize-volume again."
            )
        return volume, ()
    region = _cached_region(path)
    flags: tuple[Flag, ...] = ()
    if any(n > m for n, m in zip(region.shape, shape_zyx, strict=True)):
        sizes = ["x".join(map(str, shape)) for shape in (region.shape, shape_zyx)]
        flags = (Flag("W_VOLUME_CROPPED", f"lung region of {sizes[0]} voxels, network of {sizes[1]}"),)
    return centre(scale_hu(region).astype(np.float16), shape_zyx), flags


def centre(volume: NDArray[np.float16], shape_zyx: Shape) -> NDArray[np.float16]:
    """The volume (Z, Y, X) in the middle of an array of `shape_zyx`; 0 around it, or its rim cut off.

    An odd voxel goes to the far side. 0 is air, since HU are scaled.
    """
    out = np.zeros(shape_zyx, dtype=np.float16)
    kept = np.minimum(volume.shape, shape_zyx)
    firsts = ((np.array(shape) - kept) // 2 for shape in (shape_zyx, volume.shape))
    to, source = (tuple(map(slice, first, first + kept)) for first in firsts)
    out[to] = volume[source]
    return out


def fixed_crops(volume: NDArray[np.float16], crop: int | None) -> NDArray[np.float16]:
    """The cubes (9, 1, crop, crop, crop) in the eight corners and the middle; (1, 1, D, H, W) without a crop."""
    if crop is None:
        return volume[None, None]
    corners = product(*((0, n - crop) for n in volume.shape))
    middle = [(n - crop) // 2 for n in volume.shape]
    return np.stack([_cut(volume, first, crop)[None] for first in (*corners, middle)])


def _cut(volume: NDArray[np.float16], first: Sequence[int], crop: int) -> NDArray[np.float16]:
    z, y, x = first
    return volume[z : z + crop, y : y + crop, x : x + crop]


def largest_region(paths: Iterable[Path]) -> Shape:
    """The largest extent (z, y, x) of the lung regions of some cached volumes, at least 8 an axis."""
    z, y, x = np.max([(8, 8, 8), *(_cached_region(path).shape for path in paths)], axis=0).tolist()
    return z, y, x


def _cached_region(path: Path) -> NDArray[np.int16]:
    """The lung region (Z, Y, X) of a cached volume, in HU."""
    outside_hu = float(hdf5.read_header(path).parameters["outside_hu"])
    return lung_region(hdf5.read_volume(path, "ct"), outside_hu=outside_hu).array
