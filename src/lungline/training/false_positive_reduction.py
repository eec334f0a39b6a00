"""The false-positive-reduction network as a training: candidates, which of them are nodules, and their cubes.

A detector with a low threshold finds nearly every nodule and many vessels. The FPR network looks at each
candidate in three dimensions and ranks them (a second stage, as in every leading LUNA-16 system; Zheng et al. 2020).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import DetectorSpec, FprSpec
from lungline.detection.candidates import Candidate, crop_patches, read_candidates
from lungline.device import map_in_parallel, to_device
from lungline.nodules.annotations import Nodule
from lungline.storage import hdf5
from lungline.training.augmentation import augment_affine_and_intensity, flip_and_rotate
from lungline.training.losses import cancer_loss
from lungline.training.patients import patient_logits
from lungline.training.task import Evaluation, TrainingTask

_AT_ONCE = 8  # cubes scored together, by one thread on a CPU


@dataclass(frozen=True)
class CandidateCubes:
    """The candidates of one scan: cubes (n, 2, size, size, size) float16, and whether each is a nodule (n,) bool."""

    scan: str
    cubes: NDArray[np.float16]
    is_nodule: NDArray[np.bool_]


def read_candidate_cubes(
    cache: Path, detected: Path, candidates: Sequence[Candidate], size: int
) -> NDArray[np.float16]:
    """Cubes (n, 2, size, size, size) of scaled HU and nodule probability around all candidates of one scan."""
    ct, probability = hdf5.read_array(cache, "ct"), hdf5.read_array(detected, "probability")
    return crop_patches(ct, probability, candidates, count=len(candidates), size=size).cubes


def read_labelled_candidates(
    scan: str, cache: Path, detected: Path, candidates: Path, nodules: Sequence[Nodule], size: int
) -> CandidateCubes:
    """One scan's candidates; a nodule is one whose centroid lies strictly within the radius of an annotation."""
    found = read_candidates(candidates)
    places = np.array([candidate.centroid_xyz_mm for candidate in found]).reshape(-1, 3)
    is_nodule = np.zeros(len(found), dtype=bool)
    for nodule in nodules:
        is_nodule |= np.linalg.norm(places - nodule.centre_xyz_mm, axis=1) < nodule.diameter_mm / 2
    return CandidateCubes(scan, read_candidate_cubes(cache, detected, found, size), is_nodule)


def candidate_logits(
    model: nn.Module, cubes: NDArray[np.float16], device: torch.device, test_time_augmentation: int = 1
) -> Tensor:
    """One logit per cube (n,), float32 on the CPU: the mean over `test_time_augmentation` symmetries of the cube."""
    parts = [cubes[i : i + _AT_ONCE] for i in range(0, len(cubes), _AT_ONCE)]
    logits = map_in_parallel(
        lambda part: patient_logits(model, part, device, test_time_augmentation).cpu(), parts, device
    )
    return torch.cat([torch.zeros(0), *logits])


@dataclass(frozen=True)
class FprTask(TrainingTask[tuple[Tensor, Tensor]]):
    """Cubes (N, 2, size, size, size) and labels (N,), float32; a fixed share of them nodules.

    Each is turned and mirrored at random, and distorted if the specification says so. `files` (split -> scan -> files)
    are those that the cubes were read from, `initialised_from` what the card says of the weights that it began with.
    """

    stage: ClassVar[str] = "train_fpr"
    model: CancerNet
    spec: FprSpec
    detector: DetectorSpec
    train: Sequence[CandidateCubes]
    valid: Sequence[CandidateCubes]
    files: Mapping[str, Mapping[str, Sequence[Path]]]
    seed: int
    device: torch.device
    initialised_from: Mapping[str, Any] = field(default_factory=dict)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self.seed, step])
        size = self.spec.training.batch
        positives = round(size * self.spec.positive_share)
        counts = (positives, size - positives)
        drawn = [own[i] for own, count in zip(self._cubes, counts, strict=True) for i in rng.choice(len(own), count)]
        cubes = np.concatenate([flip_and_rotate(cube, rng) for cube in drawn])
        cubes = augment_affine_and_intensity(cubes, rng) if self.spec.affine_and_intensity else cubes
        return torch.from_numpy(cubes).float(), torch.from_numpy(np.arange(size) < positives).float()

    def loss(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        cubes, labels = (to_device(part, self.device) for part in batch)
        return cancer_loss(self.model(cubes).float(), labels)

    def evaluate(self) -> Evaluation:
        """Eq. 1 of nodules and of others, weighted as in training, over all candidates of the validation scans."""
        logits = torch.cat([candidate_logits(self.model, scan.cubes, self.device) for scan in self.valid])
        labels = torch.from_numpy(np.concatenate([scan.is_nodule for scan in self.valid])).float()
        parts = [(self.spec.positive_share, labels > 0.5), (1 - self.spec.positive_share, labels < 0.5)]
        loss = sum(share * float(cancer_loss(logits[part], labels[part])) for share, part in parts)
        ranked = torch.argsort(logits, descending=True, stable=True)
        precision = labels[ranked].cumsum(0) / torch.arange(1, len(labels) + 1)
        return {"valid_loss": loss, "valid_average_precision": float(precision[labels[ranked] > 0.5].mean())}

    def card(self) -> Mapping[str, Any]:
        size = self.spec.network.shape_zyx[0]
        return {
            "purpose": "nodule logit per candidate cube; ranks the candidates of a detector",
            "input": f"scaled HU 0..1 and nodule probability 0..1 in cubes of {size} voxels of 1 mm; (N, 2, D, H, W)",
            "detector": self.detector.model_dump(mode="json"),
            "network": self.spec.network.model_dump(mode="json"),
            **self.initialised_from,
        }

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        return self.files

    @cached_property
    def _cubes(self) -> tuple[list[NDArray[np.float16]], list[NDArray[np.float16]]]:
        """The cubes (1, 2, size, size, size) of all nodules, and of all others; not copied: they take gigabytes."""
        others, nodules = (
            [scan.cubes[i : i + 1] for scan in self.train for i in np.flatnonzero(scan.is_nodule == kind)]
            for kind in (False, True)
        )
        return nodules, others
