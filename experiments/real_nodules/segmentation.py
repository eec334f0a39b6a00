"""lungline's U-Net on axial slices of the nodules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from experiments.real_nodules.nodules import RealNodule
from lungline.config.networks import Schedule, UNetSpec
from lungline.detection.axis_ensemble import predict_axis
from lungline.detection.slices import neighbouring_slices
from lungline.detection.unet import UNet
from lungline.splits import refuse_test_rows
from lungline.training.loop import fit
from lungline.training.losses import nodule_loss

NETWORK = UNetSpec(slices=3, base_channels=8, levels=3, dropout=0.0, norm="group")
SCHEDULE = Schedule(steps=800, batch=16, learning_rate=3e-3, validate_every=200, decay="cosine")
CROP = 32  # voxels, edge of a training crop
THRESHOLDS = np.arange(0.2, 0.81, 0.05)
CPU = torch.device("cpu")


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


def train(
    nodules: Sequence[RealNodule],
    choosing: Sequence[RealNodule],
    schedule: Schedule,
    *,
    seed: int,
    checkpoint: Path,
    key: str,
) -> UNet:
    """A U-Net fitted to `nodules`, with the weights of the look with the best Dice on `choosing`; see `fit`."""
    refuse_test_rows([*nodules, *choosing], "the weights of the U-Net")
    torch.manual_seed(seed)
    network = UNet(NETWORK)
    batches = NoduleSlices(nodules, batch=schedule.batch, seed=seed)

    def look(model: nn.Module) -> dict[str, float]:
        assert isinstance(model, UNet)
        dice = np.mean([dice_of(predict(model, nodule) >= 0.5, nodule.mask) for nodule in choosing])
        return {"valid_loss": 1 - float(dice)}

    fit(
        network,
        schedule,
        make_batch=batches.batch,
        loss_of=lambda model, batch: nodule_loss(model(batch[0]), batch[1], positive=1.0, negative=1.0),
        validate=look,
        checkpoint=checkpoint,
        key=key,
        seed=seed,
        device=CPU,
    )
    return network.eval()


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


def dice_of(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|) of two masks of one shape; 1 when both are empty."""
    total = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / total if total else 1.0


def _as_channels(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every slice with its neighbours, (Z, slices, Y, X)."""
    reach = NETWORK.slices // 2
    return neighbouring_slices(_repeated(scaled, reach), "z", reach, reach + len(scaled), NETWORK.slices)


def _repeated(scaled: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    return np.pad(scaled, ((reach, reach), (0, 0), (0, 0)), mode="edge")
