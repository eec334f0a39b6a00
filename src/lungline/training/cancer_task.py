"""Training of a cancer network on patients or single nodules; and the baselines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from scipy.special import expit as sigmoid
from torch import Tensor

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import BaselineClassifier, CandidateClassifier, WholeVolumeClassifier
from lungline.evaluation.cancer_metrics import learned_all_negative, log_loss
from lungline.fingerprint import code_fingerprint
from lungline.storage.hdf5 import Flag
from lungline.storage.scan_rows import ScanRow
from lungline.storage.weights import write_model
from lungline.training.calibration import fit_hand_crafted, fit_scale_and_shift, resampled_fits
from lungline.training.cases import Cohort
from lungline.training.patients import (
    Patients,
    evaluate_patients,
    labels_and_logits,
    micro_batches,
    patient_loss,
    sample_patients,
)
from lungline.training.task import Evaluation, TrainingTask

OVERFIT_RATIO, OVERFIT_GAP = 0.5, 0.1


@dataclass(frozen=True)
class CancerTask(TrainingTask[Patients]):
    """Cubes and label of the patients of a step; Eq. 1 of their pooled logits.

    `initialised_from` is what the card says of the weights that the network began with.
    """

    stage: ClassVar[str] = "train_classifier"
    model: CancerNet
    spec: CandidateClassifier | WholeVolumeClassifier
    cohort: Cohort
    seed: int
    device: torch.device
    initialised_from: Mapping[str, Any] = field(default_factory=dict)

    def batch(self, step: int) -> Patients:
        return sample_patients(self.cohort.patients["train"], self.spec.training.batch, seed=self.seed, step=step)

    def micro_batches(self, batch: Patients) -> Sequence[tuple[float, Patients]]:
        return micro_batches(batch, self.spec.training.micro_batch)

    def loss(self, batch: Patients) -> Tensor:
        return patient_loss(self.model, batch, self.device)

    def evaluate(self) -> Evaluation:
        return evaluate_patients(self.model, self.cohort.patients["valid"], self.device)

    def warnings(self, curve: Sequence[Evaluation]) -> Sequence[Flag]:
        """Whether it gives every validation patient the same score, or has overfitted."""
        labels, logits = labels_and_logits(self.model, self.cohort.patients["valid"], self.device)
        return [*learned_all_negative(labels, sigmoid(logits), "validation patients"), *overfitted(curve)]

    def finish(self) -> Mapping[str, Any]:
        """Fit hand-crafted features (on training patients) and calibration (on validation patients), if asked for."""
        found: dict[str, Any] = {}
        test_time_augmentation = self.spec.test_time_augmentation if isinstance(self.spec, CandidateClassifier) else 1
        if self.model.hand_crafted_features is not None:
            found["hand_crafted_features"] = fit_hand_crafted(
                self.model, self.cohort.patients["train"], self.device, test_time_augmentation
            )
        if isinstance(self.spec, CandidateClassifier) and self.spec.calibrate:
            valid = self.cohort.patients["valid"]
            answers = labels_and_logits(self.model, valid, self.device, test_time_augmentation)
            scale, shift = fit_scale_and_shift(*answers)
            about = {"scale": scale, "shift": shift, "on": "valid", "cases": len(valid)}
            found["calibration"] = {**about, "resampled": resampled_fits(*answers, seed=self.seed)}
        return found

    def card(self) -> Mapping[str, Any]:
        return {"classifier": self.spec.model_dump(mode="json"), **self.cohort.card, **self.initialised_from}

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        inputs = self.cohort.inputs
        return {
            split: {patient.scan: [inputs / f"{patient.scan}.h5"] for patient in patients}
            for split, patients in self.cohort.patients.items()
        }


def write_baseline(output: Path, spec: BaselineClassifier, cases: Mapping[str, Sequence[ScanRow]]) -> None:
    """Write the model folder of a baseline, shaped like that of a trained classifier.

    `cases` are the labelled patients of train and valid, at least one each. The prior is their share of cancer, the
    one row of the learning curve the log loss on them.
    """
    labels = {split: np.array([row.label for row in rows], dtype=np.int64) for split, rows in cases.items()}
    share = float(np.mean(np.concatenate(list(labels.values()))))
    probability = share if spec.cancer_probability == "prior" else float(spec.cancer_probability)
    losses = {f"{split}_loss": log_loss(known, np.full(len(known), probability)) for split, known in labels.items()}
    card = {
        "purpose": "the same probability of cancer for everybody: a baseline",
        "input": "none",
        "classifier": spec.model_dump(mode="json"),
        "cancer_probability": probability,
        "cases": {split: sorted(row.scan for row in rows) for split, rows in cases.items()},
        "code": code_fingerprint("lungline.stages.train_classifier"),
        "warnings": [],
    }
    tensors = {"probability": torch.tensor([probability], dtype=torch.float64)}
    write_model(output, tensors, [{"step": 0, **losses}], card)


def overfitted(curve: Sequence[Mapping[str, float]]) -> list[Flag]:
    """Whether a cancer network has overfitted.

    M_OVERFIT when, at the last validation, the training loss (Eq. 1) is less than half the validation loss and more
    than 0.1 below it: the generalisation gap by which overfitting is defined (Goodfellow, Bengio and Courville, Deep
    Learning, 2016, section 5.2). The message adds Prechelt's generalisation loss, 100 (E / E_best - 1) of the
    validation loss ("Early stopping - but when?", in Neural Networks: Tricks of the Trade, 1998). The sizes of the gap
    are ours.
    """
    train, valid = curve[-1]["train_loss"], curve[-1]["valid_loss"]
    if train >= OVERFIT_RATIO * valid or valid - train <= OVERFIT_GAP:
        return []
    best = min(row["valid_loss"] for row in curve)
    risen = 100 * (valid / best - 1) if best > 0 else 0.0
    detail = f"training loss {train:.3g}, validation loss {valid:.3g}, {risen:.0f} % above its best"
    return [Flag("M_OVERFIT", detail)]
