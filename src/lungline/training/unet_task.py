"""The U-Net of one axis as a training (paper, section 4.2, Eq. 2): crops of slices, read from the cached volumes.

Nothing is held in memory but the positions of the annotated voxels: a crop reads the few chunks that hold it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lungline.config.entries import DetectorSpec, SliceSampling
from lungline.detection.slices import Axis, number_of, stack_along
from lungline.detection.unet import UNet
from lungline.device import to_device
from lungline.errors import CorruptFileError, LunglineError
from lungline.imaging.intensity import scale_hu
from lungline.storage import hdf5
from lungline.storage.checksums import unrecorded
from lungline.training.losses import nodule_loss
from lungline.training.task import Evaluation, TrainingTask

#: Validation batches have step numbers of their own, so that every validation sees the same crops.
_FIRST_STEP = 1 << 40
_BATCHES = 8
_OPEN_FIELDS = 128

Crops = tuple[Tensor, Tensor]


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


class SliceCrops:
    """Batches of crops along one axis, with `slices` neighbouring slices (odd) as channels."""

    def __init__(
        self, scans: Sequence[TrainingScan], axis: Axis, slices: int, sampling: SliceSampling, seed: int
    ) -> None:
        self.nodules = [(scan, box) for scan in scans for box in scan.boxes]
        if not self.nodules:
            raise LunglineError(
                f"no annotated nodule in the {len(scans)} scans of this split: a detector needs one in each of train "
                "and valid. Check annotations.csv and the splits in manifest.csv."
            )
        self.scans, self.axis, self.slices, self.sampling, self.seed = list(scans), axis, slices, sampling, seed
        self._open = lru_cache(_OPEN_FIELDS)(hdf5.open_field)  # one that is dropped closes its file

    def batch(self, step: int, size: int, part: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Scaled crops (N, slices, crop, crop) and labels (N, 1, crop, crop), float32, of one step.

        Those of `part` are read, numbers of 0..size - 1; all of them without it.
        """
        rng = np.random.default_rng([self.seed, step, number_of(self.axis)])
        positives = round(size * self.sampling.positive_share)
        places = [self._draw(rng, around_nodule=i < positives) for i in range(size)]
        pairs = [self._read(*places[i]) for i in (range(size) if part is None else part)]
        images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*pairs, strict=True))
        return images, labels

    def _draw(
        self, rng: np.random.Generator, *, around_nodule: bool
    ) -> tuple[TrainingScan, NDArray[np.int64], tuple[int, ...]]:
        """Sample a crop: its scan, the first voxel (z, y, x) of its slice, and the axes along which it is flipped.

        Around a nodule, one of its voxels lies inside the crop.
        """
        scan = self.scans[rng.integers(len(self.scans))]
        low, high = np.zeros(3, int), np.array(scan.shape_zyx)
        if around_nodule:
            scan, box = self.nodules[rng.integers(len(self.nodules))]
            low, high = np.array([s.start for s in box]), np.array([s.stop for s in box])
        centre = rng.integers(low, high)
        edge, number = self.sampling.crop, number_of(self.axis)
        first = centre - rng.integers(edge // 4, edge - edge // 4, 3)
        first[number] = centre[number]
        return scan, first, tuple(axis for axis in (1, 2) if rng.integers(2))

    def _read(self, scan: TrainingScan, middle: NDArray, flips: tuple[int, ...]) -> tuple[NDArray, NDArray]:
        """The crop at a place, and its nodule mask."""
        number = number_of(self.axis)
        one = np.full(3, self.sampling.crop)
        one[number] = 1
        first, extent = middle.copy(), one.copy()
        first[number], extent[number] = middle[number] - self.slices // 2, self.slices
        ct = _read_box(self._open(scan.cache, "ct"), first, extent, outside=-1000)
        label = _read_box(self._open(scan.mask, "nodules"), middle, one, outside=0)
        image, ground_truth = (stack_along(part, self.axis) for part in (scale_hu(ct), label.astype(np.float32)))
        return np.flip(image, flips).copy(), np.flip(ground_truth, flips).copy()


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


@dataclass(frozen=True)
class UNetTask(TrainingTask[Crops]):
    """Crops of slices (N, slices, H, W) along one axis, and nodule masks (N, 1, H, W), float32.

    `part` are the numbers of the crops of a batch that this process computes, `initialised_from` what the card says of
    the weights that the network began with.
    """

    stage: ClassVar[str] = "train_unet"
    model: UNet
    spec: DetectorSpec
    train: SliceCrops
    valid: SliceCrops
    device: torch.device
    part: Sequence[int]
    initialised_from: Mapping[str, Any] = field(default_factory=dict)

    def batch(self, step: int) -> Crops:
        return self.train.batch(step, self.spec.training.batch, self.part)

    def micro_batches(self, batch: Crops) -> Sequence[tuple[float, Crops]]:
        return [(len(self.part) / self.spec.training.batch, batch)]

    def loss(self, batch: Crops) -> Tensor:
        images, labels = (to_device(part, self.device) for part in batch)
        return self._loss(self.model(images), labels)

    def evaluate(self) -> Evaluation:
        """Eq. 2 and Dice at 0.5 over the same few batches of validation crops each time."""
        loss, overlap, total = 0.0, 0.0, 0.0
        for number in range(_BATCHES):
            crops = self.valid.batch(_FIRST_STEP + number, self.spec.training.batch)
            images, labels = (part.to(self.device) for part in crops)
            logits = self.model(images).float()
            loss += float(self._loss(logits, labels)) / _BATCHES
            found = (logits > 0).float()
            overlap += float((found * labels).sum())
            total += float(found.sum() + labels.sum())
        return {"valid_loss": loss, "valid_dice": 2 * overlap / max(total, 1.0)}

    def card(self) -> Mapping[str, Any]:
        return {
            "purpose": f"nodule logit per pixel of the slices along {self.train.axis}",
            "input": "scaled HU 0..1 of the 1 mm lung box, -1000 HU outside the mask; (N, slices, H, W)",
            "axis": self.train.axis,
            "cache": hdf5.read_header(self.train.scans[0].cache).parameters,
            "detector": self.spec.model_dump(mode="json", exclude={"candidates", "fpr"}),
            "network": self.spec.network.model_dump(mode="json"),
            **self.initialised_from,
        }

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        crops = {"train": self.train, "valid": self.valid}
        return {split: {scan.scan: [scan.cache, scan.mask] for scan in own.scans} for split, own in crops.items()}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nodule_loss(logits, labels, positive=self.spec.loss.positive, negative=self.spec.loss.negative)
