"""How a trained network's logit and the hand-crafted features of a candidate are weighed, fitted to the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import NAMES
from lungline.device import half_precision
from lungline.names import Precision
from lungline.training.logistic import regress
from lungline.training.patients import Patient, patient_logits


def fit_measured(
    model: CancerNet,
    patients: Sequence[Patient],
    device: torch.device,
    turns: int = 1,
    precision: Precision = "float32",
) -> dict[str, float]:
    """Set `model.measured` to the most probable weights, given label and deciding candidate of each patient.

    Parameters
    ----------
    model : CancerNet
        Trained, and built with `measured`.
    turns, precision
        As the patients will be scored.

    Returns
    -------
    What a card says of it: the weight of the logit, of each feature by name, and the `bias`.
    """
    assert model.measured is not None
    autocast, _ = half_precision(device, precision)
    rows = []
    with torch.inference_mode(), autocast:
        for patient in patients:
            logits = patient_logits(model, patient.cubes, device, turns)
            deciding = int(logits.argmax())
            assert patient.features is not None
            rows.append([float(logits[deciding]), *patient.features[deciding].tolist()])
    labels = np.array([patient.label for patient in patients], dtype=np.int64)
    the_logit = np.array([1.0, *np.zeros(len(NAMES))])
    found = regress(labels, np.array(rows), about=the_logit)
    scale, *per_unit = found.weights.tolist()
    model.measured.scale.fill_(scale)
    model.measured.weight.copy_(torch.tensor(per_unit))
    model.measured.bias.fill_(found.bias)
    values = (scale, *per_unit, found.bias)
    return {name: round(float(w), 4) for name, w in zip(("logit", *NAMES, "bias"), values, strict=True)}
