"""Patients for the cancer network: their cubes, and the maximum that only its winner trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungline.errors import LunglineError
from lungline.io import hdf5
from lungline.models.cancer_net import strongest
from lungline.models.losses import cancer_loss
from lungline.models.specs import CancerNetSpec


@dataclass(frozen=True)
class PatientCubes:
    """The cubes of one patient that hold a candidate: (n, 2, D, H, W) float16, n >= 1, and the label."""

    scan: str
    label: int
    cubes: NDArray[np.float16]

    def cubes_of(self, device: torch.device) -> Tensor:
        """The cubes as float32 on a device."""
        return torch.from_numpy(self.cubes).to(device).float()


def read_cubes(path: Path, spec: CancerNetSpec) -> NDArray[np.float16] | None:
    """The valid cubes of a patch file; None when the scan is quarantined, an empty array when it has no candidate.

    Raises
    ------
    LunglineError
        If the cubes are not of the shape that the network takes.
    """
    if hdf5.read_header(path).status == "quarantined":
        return None
    cubes: NDArray[np.float16] = hdf5.read_array(path, "patches")[hdf5.read_array(path, "valid")]
    if cubes.shape[1:] != (spec.in_channels, *spec.shape_zyx):
        raise LunglineError(
            f"{path}: cubes of {cubes.shape[1:]} (channels, z, y, x), but the network takes "
            f"{(spec.in_channels, *spec.shape_zyx)}. Make network.shape_zyx and crop_patches.size equal."
        )
    return cubes


def patient_logits(model: nn.Module, cubes: Tensor) -> Tensor:
    """One logit a cube, (n,) float32."""
    logits: Tensor = model(cubes)
    return logits.float()


class PatientBatches:
    """Batches of patients: every patient once an epoch, in a new order each time.

    Parameters
    ----------
    patients : sequence of PatientCubes
    batch : int
        Patients a step.
    augment : bool
        Turn and mirror the cubes at random (one of the 48 symmetries of a cube a patient and step).
    seed : int
    """

    def __init__(self, patients: Sequence[PatientCubes], batch: int, *, augment: bool, seed: int) -> None:
        self.patients, self.size, self.augment, self.seed = list(patients), min(batch, len(patients)), augment, seed

    def batch(self, step: int) -> list[tuple[NDArray[np.float16], int]]:
        """(cubes, label) of the patients of one step."""
        an_epoch = len(self.patients) // self.size
        epoch, place = divmod(step, an_epoch)
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.patients))
        rng = np.random.default_rng([self.seed, epoch, place])
        chosen = [self.patients[i] for i in order[place * self.size : (place + 1) * self.size]]
        return [(turn(patient.cubes, rng) if self.augment else patient.cubes, patient.label) for patient in chosen]


def turn(cubes: NDArray, rng: np.random.Generator) -> NDArray:
    """The cubes (n, C, D, H, W) under one random symmetry of the cube."""
    axes = 2 + rng.permutation(3)
    mirrored = tuple(axis for axis in (2, 3, 4) if rng.integers(2))
    return np.ascontiguousarray(np.flip(cubes.transpose(0, 1, *axes), mirrored))


def winner_loss(model: nn.Module, patients: Sequence[tuple[NDArray, int]], device: torch.device) -> Tensor:
    """Eq. 1 of the patients' maxima, with the gradient of the winning cubes alone.

    The maximum passes its gradient to one cube. So all cubes are scored without a graph, and only the winners
    again with one: the same gradient for about a third of the work. Dropout is off in the search.
    """
    was_training = model.training
    model.eval()
    with torch.no_grad():
        winners = []
        for cubes, _ in patients:
            there = torch.from_numpy(cubes).to(device).float()
            logits = patient_logits(model, there)
            _, index = strongest(logits[None], torch.ones_like(logits, dtype=torch.bool)[None])
            winners.append(there[index])
    model.train(was_training)
    labels = torch.tensor([float(label) for _, label in patients], device=device)
    return cancer_loss(patient_logits(model, torch.cat(winners)), labels)


def logit_without_candidates(labels_without: Sequence[int], labels: Sequence[int]) -> float:
    """The answer for a patient in whom nothing was found: the training patients' own odds.

    The share of cancer among training patients without a candidate, drawn towards the share among all of
    them by the weight of two patients, so that it is defined when there was none.
    """
    prior = (sum(labels) + 1) / (len(labels) + 2)
    share = (sum(labels_without) + 2 * prior) / (len(labels_without) + 2)
    return float(np.log(share / (1 - share)))
