"""lungline's U-Net on axial slices of the nodules."""

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
from lungline.config.networks import Schedule, UNetSpec
from lungline.detection.axis_ensemble import predict_axis
from lungline.detection.slices import neighbouring_slices
from lungline.detection.unet import UNet
from lungline.splits import refuse_test_rows
from lungline.training import loop
from lungline.training.checkpoints import Checkpoints
from lungline.training.loop import TrainingContext
from lungline.training.losses import nodule_loss
from lungline.training.task import Evaluation, TrainingTask

NETWORK = UNetSpec(slices=3, base_channels=8, levels=3, dropout=0.0, norm="group")
SCHEDULE = Schedule(steps=800, batch=16, learning_rate=3e-3, validate_every=200, decay="cosine")
CROP = 32  # voxels, edge of a training crop
THRESHOLDS = np.arange(0.2, 0.81, 0.05)
CPU = torch.device("cpu")
Crops = tuple[Tensor, Tensor]


class NoduleSlices:
    """Batches of crops of axial slices: a nodule, one of its slices, a place, a flip and a turn at random."""

    def __init__(self, nodules: Sequence[RealNodule], *, batch: int, seed: int) -> None:
        self.stacks = [_as_channels(nodule.scaled) for nodule in nodules]
        self.masks = [nodule.mask for nodule in nodules]
        self.size, self.seed = batch, seed

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Scaled crops (N, slices, CROP, CROP) and labels (N, 1, CROP, CROP), float32, of one step."""
        rng = np.random.default_rng([self.seed, step])
        crops = [self._crop(rng) for _ in range(self.size)]
        images, labels = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
        return images, labels

    def _crop(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        chosen = rng.integers(len(self.stacks))
        z = rng.integers(len(self.masks[chosen]))
        both = np.concatenate([self.stacks[chosen][z], self.masks[chosen][None, z].astype(np.float32)])
        short = [max(0, CROP - n) for n in both.shape[1:]]
        both = np.pad(both, ((0, 0), *((n // 2, n - n // 2) for n in short)), mode="edge")
        y, x = (rng.integers(n - CROP + 1) for n in both.shape[1:])
        both = np.rot90(both[:, y : y + CROP, x : x + CROP], rng.integers(4), axes=(1, 2))
        both = np.ascontiguousarray(both[:, :, ::-1] if rng.integers(2) else both)
        return both[:-1], both[-1:]


@dataclass(frozen=True)
class OutlineTask(TrainingTask[Crops]):
    """The U-Net on nodules; the weights with the best Dice on `choosing` are kept."""

    stage: ClassVar[str] = "segmentation"
    model: UNet
    slices: NoduleSlices
    choosing: Sequence[RealNodule]

    def batch(self, step: int) -> Crops:
        return self.slices.batch(step)

    def loss(self, batch: Crops) -> Tensor:
        return nodule_loss(self.model(batch[0]), batch[1], positive=1.0, negative=1.0)

    def evaluate(self) -> Evaluation:
        dice = np.mean([dice_of(predict(self.model, nodule) >= 0.5, nodule.mask) for nodule in self.choosing])
        return {"valid_loss": 1 - float(dice)}

    def card(self) -> Mapping[str, Any]:
        return {}

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        return {}


def train(
    nodules: Sequence[RealNodule],
    choosing: Sequence[RealNodule],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    key: str,
) -> UNet:
    """A U-Net fitted to `nodules`; its checkpoints lie beside `checkpoint` and are resumed with the same `key`."""
    refuse_test_rows([*nodules, *choosing], "the weights of the U-Net")
    torch.manual_seed(seed)
    task = OutlineTask(UNet(NETWORK), NoduleSlices(nodules, batch=schedule.batch, seed=seed), choosing)
    context = TrainingContext(checkpoint.parent, checkpoint.parent, seed, CPU)
    loop.train(task, schedule, context, Checkpoints(checkpoint.parent, checkpoint.stem, key))
    return task.model


def predict(network: UNet, nodule: RealNodule) -> NDArray[np.float32]:
    """Nodule probability (Z, Y, X), from a volume that is continued as in the training wherever it ends.

    The network itself would continue it with air, which lies near no nodule: measured on the fold where fold 0 chooses,
    Dice 0.67 instead of 0.76.
    """
    reach, multiple = network.spec.slices // 2, 2 ** (network.spec.levels - 1)
    short = [max(CROP - n, -n % multiple) for n in nodule.scaled.shape[1:]]
    margins = [(reach, reach), *((n // 2, n - n // 2) for n in short)]
    probability = predict_axis(np.pad(nodule.scaled, margins, mode="edge"), network, "z", CPU)
    inside = (slice(low, low + n) for (low, _), n in zip(margins, nodule.scaled.shape, strict=True))
    return probability[tuple(inside)]


def choose_threshold(nodules: Sequence[RealNodule], probabilities: Sequence[NDArray[np.float32]]) -> float:
    """The probability from which a voxel counts, with the best mean Dice."""
    refuse_test_rows(nodules, "the threshold")
    dice = [
        np.mean([dice_of(p >= threshold, nodule.mask) for nodule, p in zip(nodules, probabilities, strict=True)])
        for threshold in THRESHOLDS
    ]
    return float(THRESHOLDS[int(np.argmax(dice))])


def dice_of(found: NDArray[np.bool_], ground_truth: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|) of two masks of one shape; 1 when both are empty."""
    total = int(found.sum()) + int(ground_truth.sum())
    return 2 * int((found & ground_truth).sum()) / total if total else 1.0


def _as_channels(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every slice with its neighbours, (Z, slices, Y, X)."""
    reach = NETWORK.slices // 2
    return neighbouring_slices(_repeated(scaled, reach), "z", reach, reach + len(scaled), NETWORK.slices)


def _repeated(scaled: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    return np.pad(scaled, ((reach, reach), (0, 0), (0, 0)), mode="edge")
