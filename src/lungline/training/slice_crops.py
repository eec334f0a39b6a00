"""Crops of slices for the three U-Nets, read from the cached volumes as they are needed.

Nothing is held in memory but the positions of the annotated voxels' slices: a crop reads the few chunks
that hold it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lungline.config.entries import SliceSampling
from lungline.detection.slices import Axis, number_of, stack_along
from lungline.errors import CorruptFileError, LunglineError
from lungline.imaging.intensity import scale_hu
from lungline.storage import hdf5
from lungline.storage.checksums import unrecorded

_OPEN_FILES = 64


@dataclass(frozen=True)
class TrainingScan:
    """One annotated scan: its files, its shape, and the boxes (z, y, x slices) of its nodules."""

    scan: str
    cache: Path
    mask: Path
    shape_zyx: tuple[int, ...]
    boxes: tuple[tuple[slice, slice, slice], ...]


def find_training_scans(scans: Sequence[str], caches: Path, masks: Path) -> list[TrainingScan]:
    """The scans that can be used: not quarantined. Reads one scan at a time."""
    import cc3d

    found = []
    for scan in scans:
        cache, mask = caches / f"{scan}.h5", masks / f"{scan}.h5"
        with unrecorded():
            if hdf5.read_header(mask).status == "quarantined":
                continue
        nodules = hdf5.read_array(mask, "nodules")
        labels = cc3d.connected_components(nodules, connectivity=26)
        boxes = cc3d.statistics(labels)["bounding_boxes"][1:]
        found.append(TrainingScan(scan, cache, mask, nodules.shape, tuple((b[0], b[1], b[2]) for b in boxes)))
    return found


@dataclass(frozen=True)
class CropPlace:
    """Where a crop lies: its scan, the first voxel (z, y, x) of its slice, and the axes along which it is flipped."""

    scan: TrainingScan
    first: NDArray[np.int64]
    flips: tuple[int, ...]


class OpenFields:
    """One field of each of the most recently read files, kept open for this process."""

    def __init__(self, name: str, most: int = _OPEN_FILES) -> None:
        self._fields: OrderedDict[Path, h5py.Dataset] = OrderedDict()
        self._name, self._most = name, most

    def __getitem__(self, path: Path) -> h5py.Dataset:
        if path not in self._fields:
            while len(self._fields) >= self._most:
                self._fields.popitem(last=False)[1].file.close()
            self._fields[path] = hdf5.open_field(path, self._name)
        self._fields.move_to_end(path)
        return self._fields[path]


class SliceCrops:
    """Batches of crops along one axis.

    Parameters
    ----------
    scans : sequence of TrainingScan
    axis : "z", "y" or "x"
    slices : int
        Neighbouring slices as channels (odd).
    sampling : SliceSampling
    seed : int
    """

    def __init__(
        self, scans: Sequence[TrainingScan], axis: Axis, slices: int, sampling: SliceSampling, seed: int
    ) -> None:
        self.nodules = [(scan, box) for scan in scans for box in scan.boxes]
        if not self.nodules:
            raise LunglineError(
                f"no annotated nodule in the {len(scans)} scans of this split: a detector needs one in each of train "
                "and valid. Check annotations.csv and the splits in scans.csv."
            )
        self.scans, self.axis, self.slices, self.sampling, self.seed = list(scans), axis, slices, sampling, seed
        self._ct, self._nodules = OpenFields("ct"), OpenFields("nodules")

    def batch(self, step: int, size: int, part: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Scaled crops (N, slices, crop, crop) and labels (N, 1, crop, crop), float32, of one step.

        Those of `part` are read, numbers of 0..size - 1; all of them without it.
        """
        rng = np.random.default_rng([self.seed, step, number_of(self.axis)])
        positives = round(size * self.sampling.positive_share)
        places = [self._draw(rng, around_nodule=i < positives) for i in range(size)]
        pairs = [self._read(places[i]) for i in (range(size) if part is None else part)]
        images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
        return images, labels

    def _draw(self, rng: np.random.Generator, *, around_nodule: bool) -> CropPlace:
        """A crop at random; around a nodule, one of its voxels lies inside the crop."""
        scan = self.scans[rng.integers(len(self.scans))]
        low, high = np.zeros(3, int), np.array(scan.shape_zyx)
        if around_nodule:
            scan, box = self.nodules[rng.integers(len(self.nodules))]
            low, high = np.array([s.start for s in box]), np.array([s.stop for s in box])
        centre = rng.integers(low, high)
        edge, number = self.sampling.crop, number_of(self.axis)
        first = centre - rng.integers(edge // 4, edge - edge // 4, 3)
        first[number] = centre[number]
        return CropPlace(scan, first, tuple(axis for axis in (1, 2) if rng.integers(2)))

    def _read(self, place: CropPlace) -> tuple[NDArray, NDArray]:
        """The crop at a place, and what of it is nodule."""
        number = number_of(self.axis)
        middle, one = place.first, np.full(3, self.sampling.crop)
        one[number] = 1
        first, extent = middle.copy(), one.copy()
        first[number], extent[number] = middle[number] - self.slices // 2, self.slices
        ct = _read_box(self._ct[place.scan.cache], first, extent, outside=-1000)
        label = _read_box(self._nodules[place.scan.mask], middle, one, outside=0)
        image, truth = (stack_along(part, self.axis) for part in (scale_hu(ct), label.astype(np.float32)))
        return np.flip(image, place.flips).copy(), np.flip(truth, place.flips).copy()


def _read_box(field: h5py.Dataset, first: NDArray, extent: NDArray, outside: int) -> NDArray:
    """The box of a field that starts at `first`, filled with `outside` where it leaves the volume."""
    box = np.full(tuple(extent), outside, dtype=field.dtype)
    low = np.maximum(first, 0)
    high = np.minimum(first + extent, field.shape)
    if np.all(low < high):
        target = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
        try:
            box[target] = field[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
        except OSError as error:
            raise CorruptFileError(f"{field.file.filename}: a damaged chunk. Delete the file and run again.") from error
    return box
