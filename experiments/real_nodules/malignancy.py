"""lungline's cancer network on one cube a nodule, its descriptors of an outline, and both with one another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.real_nodules.nodules import RealNodule
from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, Schedule
from lungline.detection.candidates import crop_cube
from lungline.imaging.intensity import WINDOW_HU
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import measure
from lungline.splits import refuse_test_rows
from lungline.training import loop
from lungline.training.augmentation import flip_and_rotate
from lungline.training.calibration import Regression, fit_scale_and_shift, most_probable, regress
from lungline.training.checkpoints import Checkpoints
from lungline.training.loop import TrainingContext
from lungline.training.patients import Patients, evaluate_patients, labels_and_logits, patient_loss, sample_patients
from lungline.training.task import Evaluation, TrainingTask

NETWORK = CancerNetSpec(channels=(4, 8, 16, 16, 32, 32), dense=64, dropout=0.3, norm="group")
SCHEDULE = Schedule(steps=600, batch=8, learning_rate=1e-3, weight_decay=1e-4, validate_every=100, decay="cosine")
SHIFT = 2  # voxels, largest displacement of a training cube
TURNS = 8  # symmetries whose logits are averaged in an answer
CPU = torch.device("cpu")
_PRIOR_SD = 10.0  # of a weight of a logistic regression


@dataclass(frozen=True)
class NoduleCube:
    """A nodule as the cancer network is shown it: a `Patient` of `lungline.training.patients` with one cube.

    Attributes
    ----------
    wide : (1, 2, D, H, W) float16
        Scaled HU and nodule probability, `SHIFT` voxels wider on each side than the network's cube.
    split : str
    """

    scan: str
    label: int
    wide: NDArray[np.float16]
    split: str
    features: ClassVar[None] = None

    @property
    def cubes(self) -> NDArray[np.float16]:
        """The cube around the middle of the nodule's volume, (1, 2, D, H, W)."""
        return self._cut((SHIFT, SHIFT, SHIFT))

    def sample(self, rng: np.random.Generator) -> NDArray[np.float16]:
        """The same, displaced, and under one of the 48 symmetries of the cube."""
        return flip_and_rotate(self._cut(rng.integers(2 * SHIFT + 1, size=3)), rng)

    def _cut(self, first: Sequence[int] | NDArray[np.int64]) -> NDArray[np.float16]:
        box = tuple(slice(int(f), int(f) + n) for f, n in zip(first, NETWORK.shape_zyx, strict=True))
        return self.wide[(..., *box)]


def make_cube(nodule: RealNodule, probability: NDArray[np.float32]) -> NoduleCube:
    """The cube around the middle of the volume; beyond its ends HU are the volume's median, the probability is 0."""
    size = NETWORK.shape_zyx[0] + 2 * SHIFT
    z, y, x = ((n - 1) / 2 for n in nodule.scaled.shape)
    parts = [
        crop_cube(nodule.scaled, (z, y, x), size, outside=float(np.median(nodule.scaled))),
        crop_cube(probability, (z, y, x), size, outside=0.0),
    ]
    return NoduleCube(nodule.name, nodule.malignant, np.stack(parts)[None].astype(np.float16), nodule.split)


@dataclass(frozen=True)
class MalignancyTask(TrainingTask[Patients]):
    """The cancer network on nodules; the weights with the least loss on `choosing` are kept."""

    stage: ClassVar[str] = "malignancy"
    model: CancerNet
    cubes: Sequence[NoduleCube]
    choosing: Sequence[NoduleCube]
    size: int
    seed: int

    def batch(self, step: int) -> Patients:
        return sample_patients(self.cubes, self.size, seed=self.seed, step=step)

    def loss(self, batch: Patients) -> Tensor:
        return patient_loss(self.model, batch, CPU)

    def evaluate(self) -> Evaluation:
        return evaluate_patients(self.model, self.choosing, CPU)

    def card(self) -> Mapping[str, Any]:
        return {}

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        return {}


def train(
    cubes: Sequence[NoduleCube],
    choosing: Sequence[NoduleCube],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    key: str,
) -> CancerNet:
    """A cancer network fitted to `cubes`; its checkpoints lie beside `checkpoint`, resumed with the same `key`."""
    refuse_test_rows([*cubes, *choosing], "the weights of the cancer network")
    torch.manual_seed(seed)
    task = MalignancyTask(CancerNet(NETWORK), cubes, choosing, schedule.batch, seed)
    context = TrainingContext(checkpoint.parent, checkpoint.parent, seed, CPU)
    loop.train(task, schedule, context, Checkpoints(checkpoint.parent, checkpoint.stem, key))
    return task.model


def logits_of(network: CancerNet, cubes: Sequence[NoduleCube]) -> NDArray[np.float64]:
    """One logit per nodule, (n,): the mean over `TURNS` symmetries of its cube."""
    return labels_and_logits(network, cubes, CPU, TURNS)[1]


@dataclass(frozen=True)
class DescriptorModel:
    """A logistic regression of size, density and calcification of an outlined nodule."""

    regression: Regression

    def logits(self, nodules: Sequence[RealNodule], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
        """One logit per nodule, (n,), from its HU inside the outline `masks` gives it."""
        return self.regression.logits(_descriptors(nodules, masks))


def fit_descriptors(nodules: Sequence[RealNodule]) -> DescriptorModel:
    """The model that fits nodules with the readers' outlines best."""
    refuse_test_rows(nodules, "the weights of the descriptors")
    labels = np.array([nodule.malignant for nodule in nodules])
    return DescriptorModel(regress(labels, _descriptors(nodules, [nodule.mask for nodule in nodules])))


def _descriptors(nodules: Sequence[RealNodule], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Log volume, log diameter, mean and 5th percentile of HU, share that is calcified: (n, 5).

    HU are those of the networks' window. An empty outline counts as the voxel in the middle.
    """
    low_hu, high_hu = WINDOW_HU
    rows = []
    for nodule, mask in zip(nodules, masks, strict=True):
        ct = Volume(low_hu + nodule.scaled * (high_hu - low_hu), np.eye(4)[[2, 1, 0, 3]])
        middle = np.zeros_like(mask)
        middle[tuple(n // 2 for n in mask.shape)] = True
        inside = mask if mask.any() else middle
        found = measure(ct, inside)
        sizes = np.log([found.volume_mm3, found.long_axis_mm])
        rows.append([*sizes, found.mean_hu, np.percentile(ct.array[inside], 5), found.calcified_share])
    return np.array(rows)


@dataclass(frozen=True)
class Combination:
    """How the network's logit s becomes a calibrated one, a s + b, or is weighed with a figure x, u s + v x + w."""

    scale: float
    shift: float
    weights: tuple[float, float, float]

    def alone(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Calibrated logits (n,) of the network alone."""
        return self.scale * logits + self.shift

    def together(self, logits: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logits (n,) that weigh in the other figure (n,)."""
        return np.asarray(_design(logits, other) @ np.array(self.weights))


def choose_combination(
    nodules: Sequence[RealNodule], logits: NDArray[np.float64], other: NDArray[np.float64]
) -> Combination:
    """Calibration, and logistic regression, of the logits (n,) of nodules that nothing was trained on."""
    refuse_test_rows(nodules, "the weights of the combination")
    labels = np.array([nodule.malignant for nodule in nodules])
    scale, shift = fit_scale_and_shift(labels, logits)
    u, v, w = fit_logistic(labels, _design(logits, other))
    return Combination(scale, shift, (u, v, w))


def log_diameters(nodules: Sequence[RealNodule]) -> NDArray[np.float64]:
    """Logarithm of the diameter of the table, (n,)."""
    return np.log([nodule.diameter_mm for nodule in nodules])


def fit_logistic(labels: NDArray[np.int64], design: NDArray[np.float64]) -> tuple[float, ...]:
    """Most probable weights (k,) of a logistic regression of labels (n,) 0 or 1 on the columns of `design` (n, k).

    A wide normal prior keeps them finite where the labels are told apart without a mistake.
    """

    prior = np.zeros(design.shape[1])
    return tuple(float(w) for w in most_probable(labels, design, about=prior, sd=np.full_like(prior, _PRIOR_SD)))


def _design(logits: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([logits, other, np.ones(len(logits))])
