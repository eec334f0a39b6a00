"""Patients for the cancer network: cubes, loss of a training step, logits."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import features
from lungline.config.networks import CancerNetSpec
from lungline.errors import LunglineError
from lungline.nodules.measurements import Measurements
from lungline.storage import hdf5
from lungline.training.augmentation import SYMMETRIES, apply_symmetry, augment_affine_and_intensity, flip_and_rotate
from lungline.training.losses import cancer_loss

#: Cubes (n, C, D, H, W) and label of the patients of one step.
Patients = list[tuple[NDArray[np.float16], int]]


class Patient(Protocol):
    """A patient in a training: the cubes (n, C, D, H, W) that are scored, n >= 1, and the label.

    `features` (n, 4) are hand-crafted, of the candidates in the cubes; None of whole volumes.
    """

    @property
    def scan(self) -> str: ...
    @property
    def label(self) -> int: ...
    @property
    def cubes(self) -> NDArray[np.float16]: ...
    @property
    def features(self) -> NDArray[np.float32] | None: ...
    def sample(self, rng: np.random.Generator) -> NDArray[np.float16]:
        """The cubes of one training step (n, C, D, H, W), augmented."""


@dataclass(frozen=True)
class PatientCubes:
    """The cubes of one patient that hold a candidate: (n, 2, D, H, W) float16, n >= 1, and the label.

    `features` (n, 4) are the candidates' own, for a network that weighs them; see `read_features`. With
    `flips_and_rotations` they are turned and mirrored at random (one of the 48 symmetries of a cube) when they are
    drawn; with `affine_and_intensity` each is distorted, too.
    """

    scan: str
    label: int
    cubes: NDArray[np.float16]
    flips_and_rotations: bool = False
    affine_and_intensity: bool = False
    features: NDArray[np.float32] | None = None

    def sample(self, rng: np.random.Generator) -> NDArray[np.float16]:
        """The cubes of one training step, augmented."""
        cubes = flip_and_rotate(self.cubes, rng) if self.flips_and_rotations else self.cubes
        return augment_affine_and_intensity(cubes, rng) if self.affine_and_intensity else cubes


def read_cubes(
    path: Path, spec: CancerNetSpec, most: int | None = None, min_score: float | None = None
) -> tuple[NDArray[np.float16], NDArray[np.float32] | None]:
    """The `most` strongest cubes (n, C, D, H, W) of a patch file that is not quarantined, and their features (n, 4).

    n may be 0. Cubes whose candidate has a score below `min_score` are left out, the strongest excepted. Features are
    None of a network that does not weigh them. `LunglineError` if the cubes are not of the shape that it takes.
    """
    valid = hdf5.read_array(path, "valid")
    cubes: NDArray[np.float16] = hdf5.read_array(path, "patches")[valid]
    if cubes.shape[1:] != (spec.in_channels, *spec.shape_zyx):
        raise LunglineError(
            f"{path}: cubes of {cubes.shape[1:]} (channels, z, y, x), but the network takes "
            f"{(spec.in_channels, *spec.shape_zyx)}. Make network.shape_zyx and crop_patches.size equal."
        )
    if min_score is not None:
        cubes = cubes[: max(1, int(np.sum(hdf5.read_array(path, "score")[valid] >= min_score)))]
    cubes = cubes[:most]
    return cubes, read_features(path, len(cubes)) if spec.hand_crafted_features else None


def read_features(path: Path, count: int) -> NDArray[np.float32]:
    """Hand-crafted features (n, 4) of the `count` strongest candidates of a patch file that is not quarantined."""
    return features_of([Measurements(*row) for row in hdf5.read_array(path, "measurements")[:count].tolist()])


def features_of(measured: Sequence[Measurements]) -> NDArray[np.float32]:
    """Hand-crafted features (n, 4) of candidates with these measurements."""
    names = ("volume_mm3", "mean_hu", "sd_hu", "calcified_share")
    return features(*([getattr(one, name) for one in measured] for name in names))


def patient_logits(
    model: nn.Module, cubes: NDArray[np.float16], device: torch.device, test_time_augmentation: int = 1
) -> Tensor:
    """One logit per cube, (n,) float32: the mean over the first `test_time_augmentation` symmetries of the cube."""
    seen = [
        model(_on(device, apply_symmetry(cubes, *symmetry))).float() for symmetry in SYMMETRIES[:test_time_augmentation]
    ]
    return torch.stack(seen).mean(dim=0)


def _on(device: torch.device, cubes: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(cubes).to(device).float()


def sample_patients(patients: Sequence[Patient], size: int, *, seed: int, step: int) -> Patients:
    """(cubes, label) of `size` patients (at most all) for one step: each once an epoch, in a new order each time."""
    size = min(size, len(patients))
    epoch, place = divmod(step, len(patients) // size)
    order = np.random.default_rng([seed, epoch]).permutation(len(patients))
    rng = np.random.default_rng([seed, epoch, place])
    drawn = [patients[i] for i in order[place * size : (place + 1) * size]]
    return [(patient.sample(rng), patient.label) for patient in drawn]


def micro_batches(patients: Patients, size: int | None) -> list[tuple[float, Patients]]:
    """The patients of a step in parts of at most `size`, each with its share of the step; None: in one part."""
    size = size or len(patients)
    parts = [patients[first : first + size] for first in range(0, len(patients), size)]
    return [(len(part) / len(patients), part) for part in parts]


def patient_loss(model: CancerNet, patients: Patients, device: torch.device) -> Tensor:
    """Eq. 1 of the patients' logits, pooled as the network says."""
    if model.spec.pool == "max":
        return winner_loss(model, patients, device)
    logits = model(_on(device, np.concatenate([cubes for cubes, _ in patients]))).float()
    parts = logits.split([len(cubes) for cubes, _ in patients])
    labels = torch.tensor([float(label) for _, label in patients], device=device)
    return cancer_loss(torch.stack([model.pooled(part) for part in parts]), labels)


def winner_loss(model: nn.Module, patients: Patients, device: torch.device) -> Tensor:
    """Eq. 1 of the patients' maxima, with the gradient of the winning cubes alone.

    The maximum passes its gradient to one cube. So all cubes are scored without a graph, and only the winners
    again with one: the same gradient for about a third of the work. Dropout is off in the search.
    """
    winners = torch.cat([_winner(model, _on(device, cubes)) for cubes, _ in patients])
    labels = torch.tensor([float(label) for _, label in patients], device=device)
    return cancer_loss(model(winners).float(), labels)


def _winner(model: nn.Module, cubes: Tensor) -> Tensor:
    """The cube (1, C, D, H, W) with the largest logit."""
    if len(cubes) == 1:
        return cubes
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(cubes).float()
    model.train(was_training)
    return cubes[logits.max(dim=0, keepdim=True).indices]


def answers(
    model: CancerNet, patients: Sequence[Patient], device: torch.device, test_time_augmentation: int = 1
) -> tuple[Tensor, Tensor]:
    """Logits and labels (n,) float32 of the patients; a cube's logit is averaged by `test_time_augmentation`."""
    each = [model.weighed(patient_logits(model, p.cubes, device, test_time_augmentation), p.features) for p in patients]
    labels = torch.tensor([float(patient.label) for patient in patients], device=device)
    return torch.stack([model.pooled(logits) for logits in each]), labels


def evaluate_patients(model: CancerNet, patients: Sequence[Patient], device: torch.device) -> dict[str, float]:
    """Eq. 1 and accuracy at 0.5 over the validation patients."""
    logits, labels = answers(model, patients, device)
    correct: Tensor = (logits > 0) == (labels > 0.5)
    return {"valid_loss": float(cancer_loss(logits, labels)), "valid_accuracy": float(correct.float().mean())}


def labels_and_logits(
    model: CancerNet, patients: Sequence[Patient], device: torch.device, test_time_augmentation: int = 1
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and logits (n,) of the patients, without gradients; arguments as in `answers`."""
    with torch.inference_mode():
        logits, labels = answers(model, patients, device, test_time_augmentation)
    return labels.cpu().numpy().astype(np.int64), logits.double().cpu().numpy()
