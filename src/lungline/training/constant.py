"""Baselines as model folders: one probability for everybody, set or counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from lungline.config.entries import ConstantSystem
from lungline.evaluation.cancer_metrics import log_loss
from lungline.fingerprint import code_fingerprint
from lungline.storage.checksums import Origin, check
from lungline.storage.manifest import ScanRow
from lungline.storage.weights import write_card, write_curve, write_tensors


def write_constant(output: Path, spec: ConstantSystem, cases: Mapping[str, Sequence[ScanRow]], system: dict) -> None:
    """Write the folder of a baseline, shaped like that of a trained system.

    Parameters
    ----------
    cases : mapping of split to rows
        The labelled patients of train and valid, at least one each. The prior is their share of cancer, the one row
        of the learning curve the log loss on them.
    system : dict
        The configuration entry.
    """
    labels = {split: np.array([row.label for row in rows], dtype=np.int64) for split, rows in cases.items()}
    counted = float(np.mean(np.concatenate(list(labels.values()))))
    probability = counted if spec.probability == "prior" else float(spec.probability)
    losses = {f"{split}_loss": log_loss(known, np.full(len(known), probability)) for split, known in labels.items()}
    purpose = "the same probability of cancer for everybody: a baseline"
    weights, origin = output / "weights.safetensors", Origin("train_system")
    write_tensors(
        weights, {"probability": torch.tensor([probability], dtype=torch.float64)}, {"purpose": purpose}, origin
    )
    write_curve(output / "learning_curve.csv", [{"step": 0, **losses}], origin)
    write_card(
        output / "card.json",
        {
            "purpose": purpose,
            "input": "none",
            "system": system,
            "probability": probability,
            "cases": {split: sorted(row.scan for row in rows) for split, rows in cases.items()},
            "code": code_fingerprint("lungline.stages.train_system"),
            "warnings": [],
            "weights_sha256": check(weights),
        },
        origin,
    )
