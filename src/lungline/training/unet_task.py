"""The U-Net of one axis as a training (paper, section 4.2, Eq. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from lungline.config.entries import DetectorSpec
from lungline.detection.unet import UNet
from lungline.device import to_device
from lungline.storage import hdf5
from lungline.training.losses import nodule_loss
from lungline.training.slice_crops import SliceCrops
from lungline.training.task import Evaluation, TrainingTask

#: Validation batches have step numbers of their own, so that every validation sees the same crops.
_FIRST_STEP = 1 << 40
_BATCHES = 8

Crops = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class UNetTask(TrainingTask[Crops]):
    """Crops of slices (N, slices, H, W) and what of them is nodule (N, 1, H, W), float32.

    Attributes
    ----------
    train, valid : SliceCrops
        Along the axis of this network.
    part : sequence of int
        Numbers of the crops of a batch that this process computes.
    """

    stage: ClassVar[str] = "train_unet"
    model: UNet
    spec: DetectorSpec
    train: SliceCrops
    valid: SliceCrops
    device: torch.device
    part: Sequence[int]

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
            "purpose": f"nodule logit a pixel of the slices along {self.train.axis}",
            "input": "scaled HU 0..1 of the 1 mm lung box, -1000 HU outside the mask; (N, slices, H, W)",
            "axis": self.train.axis,
            "cache": hdf5.read_header(self.train.scans[0].cache).parameters,
            "detector": self.spec.model_dump(mode="json", exclude={"candidates", "reduction"}),
            "network": self.spec.network.model_dump(mode="json"),
        }

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        crops = {"train": self.train, "valid": self.valid}
        return {split: {scan.scan: [scan.cache, scan.mask] for scan in own.scans} for split, own in crops.items()}

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return nodule_loss(logits, labels, positive=self.spec.loss.positive, negative=self.spec.loss.negative)
