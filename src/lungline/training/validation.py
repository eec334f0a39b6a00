"""What is looked at on the validation split while a network trains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungline.classification.cancer_net import CancerNet
from lungline.device import half_precision
from lungline.names import Precision
from lungline.training.losses import cancer_loss, nodule_loss
from lungline.training.patients import Patient, patient_logits
from lungline.training.slice_crops import SliceCrops

#: Validation batches have step numbers of their own, so that every look sees the same crops.
_FIRST_STEP = 1 << 40
_BATCHES = 8


def look_at_crops(
    model: nn.Module, crops: SliceCrops, batch: int, device: torch.device, *, positive: float, negative: float
) -> dict[str, float]:
    """Eq. 2 and Dice at 0.5 over the same few batches of validation crops at every look."""
    loss, overlap, total = 0.0, 0.0, 0.0
    for number in range(_BATCHES):
        images, labels = (part.to(device) for part in crops.batch(_FIRST_STEP + number, batch))
        logits = model(images).float()
        loss += float(nodule_loss(logits, labels, positive=positive, negative=negative)) / _BATCHES
        found = (logits > 0).float()
        overlap += float((found * labels).sum())
        total += float(found.sum() + labels.sum())
    return {"valid_loss": loss, "valid_dice": 2 * overlap / max(total, 1.0)}


def answers(
    model: CancerNet, patients: Sequence[Patient], device: torch.device, turns: int = 1
) -> tuple[Tensor, Tensor]:
    """Logits and labels (n,) float32 of the patients; a cube's logit is the mean over `turns` symmetries."""
    each = [model.weighed(patient_logits(model, p.cubes, device, turns), p.features) for p in patients]
    labels = torch.tensor([float(patient.label) for patient in patients], device=device)
    return torch.stack([model.pooled(logits) for logits in each]), labels


def look_at_patients(model: CancerNet, patients: Sequence[Patient], device: torch.device) -> dict[str, float]:
    """Eq. 1 and accuracy at 0.5 over the validation patients."""
    logits, labels = answers(model, patients, device)
    correct: Tensor = (logits > 0) == (labels > 0.5)
    return {"valid_loss": float(cancer_loss(logits, labels)), "valid_accuracy": float(correct.float().mean())}


def labels_and_logits(
    model: CancerNet,
    patients: Sequence[Patient],
    device: torch.device,
    turns: int = 1,
    precision: Precision = "float32",
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and logits (n,) of the patients, computed as precisely as in the training."""
    autocast, _ = half_precision(device, precision)
    with torch.inference_mode(), autocast:
        logits, labels = answers(model, patients, device, turns)
    return labels.cpu().numpy().astype(np.int64), logits.double().cpu().numpy()
