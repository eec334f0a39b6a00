"""What a cancer network answers to patients whose labels are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lungline.classification.cancer_net import CancerNet
from lungline.device import half_precision
from lungline.names import Precision
from lungline.training.losses import cancer_loss
from lungline.training.patients import Patient, patient_logits


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
