"""How a network's settings are written down: frozen dataclasses that refuse what they do not know."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from lungline.errors import LunglineError

Spec = TypeVar("Spec")


def from_settings(kind: type[Spec], settings: Mapping[str, Any], where: str) -> Spec:
    """Build a spec from a mapping; an unknown key is refused by name, with the nearest known one."""
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in settings:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{nearest[0]}'?" if nearest else ""
            raise LunglineError(f"{where}: no setting '{key}'.{hint} Known: {', '.join(known)}.")
    return kind(**{key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()})


def _check_dropout_and_norm(dropout: float, norm: str) -> None:
    if not 0 <= dropout < 1:
        raise LunglineError(f"network.dropout should be in [0, 1). Got {dropout}.")
    if norm not in ("none", "group"):
        raise LunglineError(f"network.norm should be 'none' or 'group'. Got '{norm}'.")


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
        _check_dropout_and_norm(self.dropout, self.norm)


@dataclass(frozen=True)
class CancerNetSpec:
    """The 3-D CNN of Table 2.

    Attributes
    ----------
    in_channels : int
        2 for candidate cubes (HU, probability), 1 for a whole volume.
    shape_zyx : three ints
        Input shape in voxels; each must be divisible by 8.
    channels : six ints
        Of conv1..conv6; (48, 48, 64, 64, 96, 96) in the paper.
    dense : int
        Units of dense7; 256 in the paper.
    dropout : float
        Before each dense layer; 0 in the paper's method 2.
    norm : "none" or "group"
        Normalisation after each convolution, in groups of at most 8 channels of one cube; none in the paper.
    """

    in_channels: int = 2
    shape_zyx: tuple[int, int, int] = (32, 32, 32)
    channels: tuple[int, ...] = (48, 48, 64, 64, 96, 96)
    dense: int = 256
    dropout: float = 0.0
    norm: str = "none"

    def __post_init__(self) -> None:
        if len(self.shape_zyx) != 3 or any(n < 8 or n % 8 for n in self.shape_zyx):
            raise LunglineError(f"network.shape_zyx should be three multiples of 8. Got {self.shape_zyx}.")
        if len(self.channels) != 6:
            raise LunglineError(f"network.channels should name conv1 to conv6. Got {self.channels}.")
        _check_dropout_and_norm(self.dropout, self.norm)


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
        Steps between two looks at the validation split; the best look's weights are kept.
    """

    steps: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    validate_every: int = 100
    decay: str = "constant"

    def __post_init__(self) -> None:
        if self.decay not in ("constant", "cosine"):
            raise LunglineError(f"training.decay should be 'constant' or 'cosine'. Got '{self.decay}'.")
        if min(self.steps, self.batch, self.validate_every) < 1 or self.learning_rate <= 0:
            raise LunglineError("training.steps, batch and validate_every should be >= 1 and learning_rate > 0.")


@dataclass(frozen=True)
class SliceSampling:
    """Which slices a U-Net is shown.

    Attributes
    ----------
    crop : int
        Edge of the square crop in voxels; 128 in the authors' code.
    positive_share : float
        Share of crops around an annotated nodule; the others come from anywhere. The authors showed no
        negative slice at all, so their network marks every vessel.
    """

    crop: int = 128
    positive_share: float = 0.5


@dataclass(frozen=True)
class LossWeights:
    """w_p and w_n of Eq. 2."""

    positive: float = 200.0
    negative: float = 0.5


@dataclass(frozen=True)
class ReductionSpec:
    """The network that ranks a detector's candidates.

    Attributes
    ----------
    network : CancerNetSpec
        Table 2 on a cube around each candidate; three equal sides.
    training : Schedule
        `batch` counts candidates.
    positive_share : float
        Share of a batch that are nodules.
    """

    network: CancerNetSpec
    training: Schedule
    positive_share: float = 0.25

    def __post_init__(self) -> None:
        if len(set(self.network.shape_zyx)) != 1:
            raise LunglineError(f"reduction.network.shape_zyx should be a cube. Got {self.network.shape_zyx}.")


@dataclass(frozen=True)
class DetectorSpec:
    """One entry of `detectors:` in the configuration.

    Attributes
    ----------
    candidates : mapping
        Where this detector picks candidates otherwise than `extract_candidates:` says; used by the workflow alone.
    reduction : ReductionSpec or None
        The second stage; None leaves the candidates as they are, as in the paper.
    """

    network: UNetSpec
    loss: LossWeights
    sampling: SliceSampling
    training: Schedule
    candidates: Mapping[str, Any]
    reduction: ReductionSpec | None

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> DetectorSpec:
        """Read one configuration entry with the parts network, loss, sampling, training, candidates, reduction."""
        _refuse_unknown(entry, cls, "detector")
        second = entry.get("reduction")
        return cls(
            candidates=entry.get("candidates", {}),
            reduction=None
            if second is None
            else ReductionSpec(
                network=from_settings(CancerNetSpec, second.get("network", {}), "detector.reduction.network"),
                training=from_settings(Schedule, second["training"], "detector.reduction.training"),
                positive_share=float(second.get("positive_share", ReductionSpec.positive_share)),
            ),
            network=from_settings(UNetSpec, entry.get("network", {}), "detector.network"),
            loss=from_settings(LossWeights, entry.get("loss", {}), "detector.loss"),
            sampling=from_settings(SliceSampling, entry.get("sampling", {}), "detector.sampling"),
            training=from_settings(Schedule, entry["training"], "detector.training"),
        )


@dataclass(frozen=True)
class SystemSpec:
    """One entry of `systems:` in the configuration.

    Attributes
    ----------
    kind : "patches"
        What the network sees: candidate cubes (method 2).
    detector : str
        The entry of `detectors:` whose candidates it scores.
    augment : bool
        Random flips and quarter turns of the cubes while training.
    """

    kind: str
    detector: str
    network: CancerNetSpec
    training: Schedule
    augment: bool = True

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> SystemSpec:
        """Read one configuration entry."""
        _refuse_unknown(entry, cls, "system")
        if entry.get("kind") != "patches":
            raise LunglineError(f"system.kind should be 'patches'. Got '{entry.get('kind')}'.")
        return cls(
            kind="patches",
            detector=str(entry["detector"]),
            network=from_settings(CancerNetSpec, entry.get("network", {}), "system.network"),
            training=from_settings(Schedule, entry["training"], "system.training"),
            augment=bool(entry.get("augment", True)),
        )


def _refuse_unknown(entry: Mapping[str, Any], kind: type, where: str) -> None:
    unknown = set(entry) - {field.name for field in fields(kind)}
    if unknown:
        raise LunglineError(
            f"{where}: no part '{sorted(unknown)[0]}'. Known: {', '.join(f.name for f in fields(kind))}."
        )
