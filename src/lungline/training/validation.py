"""What is looked at on the validation split while a network trains."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lungline.models.losses import cancer_loss, nodule_loss
from lungline.training.patients import PatientCubes, patient_logits
from lungline.training.slices import SliceCrops

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


def look_at_patients(model: nn.Module, patients: Sequence[PatientCubes], device: torch.device) -> dict[str, float]:
    """Eq. 1 and accuracy at 0.5 over the validation patients."""
    logits = torch.stack([patient_logits(model, patient.cubes_of(device)).max() for patient in patients])
    labels = torch.tensor([float(patient.label) for patient in patients], device=device)
    correct: Tensor = (logits > 0) == (labels > 0.5)
    return {"valid_loss": float(cancer_loss(logits, labels)), "valid_accuracy": float(correct.float().mean())}
