"""Candidates for the reduction network: which of them are nodules, and batches of their cubes.

A detector with a low threshold finds nearly every nodule and many vessels. The reduction network looks at each
candidate in three dimensions and ranks them (a second stage, as in every leading LUNA-16 system; Zheng et al. 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lungline.detection.candidates import Candidate, read_candidates
from lungline.detection.patches import crop_patches
from lungline.device import one_thread_each
from lungline.nodules.annotations import Nodule
from lungline.storage import hdf5
from lungline.training.distortion import distort
from lungline.training.losses import cancer_loss
from lungline.training.patients import patient_logits, turn

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


class CandidateBatches:
    """Batches of candidates, a fixed share of them nodules, each turned and mirrored at random; distorted, if asked."""

    def __init__(
        self, scans: Sequence[CandidateCubes], *, batch: int, positive_share: float, seed: int, distorted: bool = False
    ) -> None:
        self.cubes = [scan.cubes for scan in scans]  # where they are: together they take gigabytes
        self.first = np.cumsum([0, *map(len, self.cubes)])
        is_nodule = np.concatenate([scan.is_nodule for scan in scans])
        self.nodules, self.others = np.flatnonzero(is_nodule), np.flatnonzero(~is_nodule)
        self.positives, self.size, self.seed = round(batch * positive_share), batch, seed
        self.distorted = distorted

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Cubes (N, 2, size, size, size) and labels (N,), float32, of one step."""
        rng = np.random.default_rng([self.seed, step])
        chosen = np.concatenate(
            [rng.choice(self.nodules, self.positives), rng.choice(self.others, self.size - self.positives)]
        )
        cubes = np.concatenate([turn(self._cube(i), rng) for i in chosen])
        cubes = distort(cubes, rng) if self.distorted else cubes
        labels = np.arange(self.size) < self.positives
        return torch.from_numpy(cubes).float(), torch.from_numpy(labels).float()

    def _cube(self, number: int) -> NDArray[np.float16]:
        """One candidate's cube, (1, 2, size, size, size), by its number among those of all scans."""
        scan = int(np.searchsorted(self.first, number, side="right")) - 1
        return self.cubes[scan][number - self.first[scan]][None]


def candidate_logits(model: nn.Module, cubes: NDArray[np.float16], device: torch.device, turns: int = 1) -> Tensor:
    """The logit of each candidate's cube, (n,) float32 on the CPU: the mean over `turns` symmetries of it."""
    parts = [cubes[i : i + _AT_ONCE] for i in range(0, len(cubes), _AT_ONCE)]
    logits = one_thread_each(lambda part: patient_logits(model, part, device, turns).cpu(), parts, device)
    return torch.cat([torch.zeros(0), *logits])


def look_at_candidates(
    model: nn.Module, scans: Sequence[CandidateCubes], device: torch.device, positive_share: float
) -> dict[str, float]:
    """Eq. 1 of nodules and of others, weighted as in training, over all candidates of the validation scans."""
    logits = torch.cat([candidate_logits(model, scan.cubes, device) for scan in scans])
    labels = torch.from_numpy(np.concatenate([scan.is_nodule for scan in scans])).float()
    parts = [(positive_share, labels > 0.5), (1 - positive_share, labels < 0.5)]
    loss = sum(share * float(cancer_loss(logits[part], labels[part])) for share, part in parts)
    ranked = torch.argsort(logits, descending=True, stable=True)
    precision = labels[ranked].cumsum(0) / torch.arange(1, len(labels) + 1)
    return {"valid_loss": loss, "valid_average_precision": float(precision[labels[ranked] > 0.5].mean())}
