"""Networks and schedules as they are written down: frozen dataclasses that refuse what they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from lungline.errors import LunglineError
from lungline.names import known

Spec = TypeVar("Spec")


def from_settings(kind: type[Spec], settings: Mapping[str, Any], where: str) -> Spec:
    """Build a spec from a mapping; an unknown key is refused by name, with the nearest known one."""
    refuse_unknown(settings, kind, f"{where}: no setting")
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()})


def refuse_unknown(settings: Mapping[str, Any], kind: type, complaint: str) -> None:
    """`LunglineError` for a key that is no field of a dataclass."""
    for key in settings:
        known(key, [field.name for field in fields(kind)], complaint)


def _check_dropout_and_norm(dropout: float, norm: str, norms: tuple[str, ...]) -> None:
    if not 0 <= dropout < 1:
        raise LunglineError(f"network.dropout should be in [0, 1). Got {dropout}.")
    if norm not in norms:
        raise LunglineError(f"network.norm should be one of {', '.join(norms)}. Got '{norm}'.")


@dataclass(frozen=True)
class UNetSpec:
    """The 2-D U-Net of Fig. 4.

    Attributes
    ----------
    slices : int
        Neighbouring slices as input channels (odd); 1 in the paper.
    base_channels, levels : int
        Channels of the first level, doubled at each; 64 and 5 in the paper.
    dropout : float
        Between the two convolutions of a level; 0.2 in the authors' code.
    norm : "none" or "group"
        Normalisation after each convolution, in groups of at most 8 channels; none in the paper.
    """

    slices: int = 1
    base_channels: int = 64
    levels: int = 5
    dropout: float = 0.2
    norm: str = "none"

    def __post_init__(self) -> None:
        if self.slices < 1 or self.slices % 2 == 0:
            raise LunglineError(f"network.slices should be odd, 1 or more. Got {self.slices}.")
        if self.base_channels < 1 or self.levels < 2:
            raise LunglineError(
                f"network.base_channels should be >= 1 and levels >= 2. Got {self.base_channels}, {self.levels}."
            )
        _check_dropout_and_norm(self.dropout, self.norm, ("none", "group"))


@dataclass(frozen=True)
class CancerNetSpec:
    """The 3-D CNN of Table 2.

    Attributes
    ----------
    in_channels : int
        2 for candidate cubes (HU, probability), 1 for a whole volume.
    shape_zyx : three ints
        Input shape in voxels, 8 or more each. A pool halves and drops an odd last voxel: 54, 27, 13, 6.
    channels : six ints
        Of conv1..conv6; (48, 48, 64, 64, 96, 96) in the paper.
    dense : int
        Units of dense7; 256 in the paper.
    dropout : float
        Between the two dense layers; 0 in the paper's method 2.
    norm : "none", "group" or "batch"
        Normalisation after each convolution: none in the paper's method 2; in groups of at most 8 channels of one
        cube; or over the cubes that are computed together, as the paper tried for method 1.
    pool : "max", "mean" or "noisy_or"
        How the logits of a patient's cubes become one: the largest, as in the paper; their mean; or that of at least
        one cancer among independent cubes and a learned cause that no cube shows.
    measured : bool
        Weigh a candidate's hand-crafted features (`classification/hand_crafted.py`) with its logit; fitted to the
        training patients once the network is trained.
    """

    in_channels: int = 2
    shape_zyx: tuple[int, int, int] = (32, 32, 32)
    channels: tuple[int, ...] = (48, 48, 64, 64, 96, 96)
    dense: int = 256
    dropout: float = 0.0
    norm: str = "none"
    pool: str = "max"
    measured: bool = False

    def __post_init__(self) -> None:
        if self.measured and self.in_channels != 2:
            raise LunglineError(f"network.measured needs HU and probability, 2 channels. Got {self.in_channels}.")
        if self.pool not in ("max", "mean", "noisy_or"):
            raise LunglineError(f"network.pool should be one of max, mean, noisy_or. Got '{self.pool}'.")
        if len(self.shape_zyx) != 3 or any(n < 8 for n in self.shape_zyx):
            raise LunglineError(f"network.shape_zyx should be three numbers, 8 or more each. Got {self.shape_zyx}.")
        if len(self.channels) != 6:
            raise LunglineError(f"network.channels should name conv1 to conv6. Got {self.channels}.")
        _check_dropout_and_norm(self.dropout, self.norm, ("none", "group", "batch"))


@dataclass(frozen=True)
class Schedule:
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Optimiser steps in all.
    batch : int
        Slices (U-Net) or patients (cancer network) a step.
    learning_rate : float
        Adam's; falls along a half cosine to zero when `decay` is "cosine".
    weight_decay : float
        L2, as a term of the gradient (the authors' 5e-4).
    validate_every : int
        Steps between two looks at the validation split.
    keep : "best" or "last"
        The weights of which look are kept: the one with the smallest loss, or the last, for which a falling
        learning rate is meant.
    seed : int or None
        Of this training; None: the seed of the run. To repeat a training with everything else the same.
    """

    steps: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    validate_every: int = 100
    decay: str = "constant"
    keep: str = "best"
    seed: int | None = None

    def seed_in(self, run: int) -> int:
        """The seed of this training in a run with that seed."""
        return run if self.seed is None else self.seed

    def __post_init__(self) -> None:
        if self.decay not in ("constant", "cosine"):
            raise LunglineError(f"training.decay should be 'constant' or 'cosine'. Got '{self.decay}'.")
        if self.keep not in ("best", "last"):
            raise LunglineError(f"training.keep should be 'best' or 'last'. Got '{self.keep}'.")
        if min(self.steps, self.batch, self.validate_every) < 1 or self.learning_rate <= 0:
            raise LunglineError("training.steps, batch and validate_every should be >= 1 and learning_rate > 0.")


@dataclass(frozen=True)
class PatientSchedule(Schedule):
    """How a cancer network is trained, and made to fit the memory of a graphics card.

    Attributes
    ----------
    micro_batch : int or None
        Patients computed together; their gradients are added up to those of `batch` patients. None: all of them.
    """

    micro_batch: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.micro_batch is not None and not 1 <= self.micro_batch <= self.batch:
            raise LunglineError(
                f"training.micro_batch should be 1 to training.batch, {self.batch}. Got {self.micro_batch}."
            )
