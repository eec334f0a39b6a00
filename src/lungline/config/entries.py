"""The entries of `detectors:` and `systems:` in the configuration: what each kind consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungline.config.networks import (
    CancerNetSpec,
    PatientSchedule,
    Schedule,
    UNetSpec,
    from_settings,
    refuse_unknown,
)
from lungline.errors import LunglineError

SYMMETRIES = 48  # of a cube: 6 orders of its axes, 8 ways to mirror them


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
    scans : int or None
        Training scans that it learns from, the first of the list; None: all. Searching them costs most of its training.
    distort : bool
        Each cube is turned a little, made larger or smaller, shifted and shown with other contrast while training.
    turns : int
        Symmetries of the cube (1 to 48) over which a candidate's logit is averaged when it is ranked.
    """

    network: CancerNetSpec
    training: Schedule
    positive_share: float = 0.25
    scans: int | None = None
    distort: bool = False
    turns: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.turns <= SYMMETRIES:
            raise LunglineError(f"reduction.turns should be 1 to {SYMMETRIES}. Got {self.turns}.")
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
        refuse_unknown(entry, cls, "detector: no part")
        second = entry.get("reduction")
        return cls(
            candidates=entry.get("candidates", {}),
            reduction=None
            if second is None
            else ReductionSpec(
                network=from_settings(CancerNetSpec, second.get("network", {}), "detector.reduction.network"),
                training=from_settings(Schedule, second["training"], "detector.reduction.training"),
                positive_share=float(second.get("positive_share", ReductionSpec.positive_share)),
                **{name: second[name] for name in ("scans", "distort", "turns") if name in second},
            ),
            network=from_settings(UNetSpec, entry.get("network", {}), "detector.network"),
            loss=from_settings(LossWeights, entry.get("loss", {}), "detector.loss"),
            sampling=from_settings(SliceSampling, entry.get("sampling", {}), "detector.sampling"),
            training=from_settings(Schedule, entry["training"], "detector.training"),
        )


@dataclass(frozen=True)
class PatchSystem:
    """Method 2, an entry of `systems:` with kind "patches": candidate cubes, the maximum over them.

    Attributes
    ----------
    detector : str
        The entry of `detectors:` whose candidates it scores.
    augment : bool
        Random flips and quarter turns of the cubes while training.
    distort : bool
        Each cube is turned a little, made larger or smaller, shifted and shown with other contrast while training.
    candidates : int or None
        How many of the strongest are shown; None: all.
    at_least : float or None
        A candidate with a smaller score is not shown, unless it is the strongest; None: all are.
    start : "random" or "reduction"
        First weights of the convolutions: drawn, or those of the detector's reduction network.
    turns : int
        Symmetries of the cube (1 to 48) over which a candidate's logit is averaged when a patient is scored.
    calibrate : bool
        Fit scale and shift of a patient's logit on the validation patients.
    learn_from : "patients" or "nodules"
        What a case of the training is: a patient with all of his candidates and one label, or one candidate of an
        annotated scan, labelled as malignant or not.
    """

    detector: str
    network: CancerNetSpec
    training: PatientSchedule
    augment: bool = True
    distort: bool = False
    candidates: int | None = None
    at_least: float | None = None
    start: str = "random"
    turns: int = 1
    calibrate: bool = False
    learn_from: str = "patients"

    def __post_init__(self) -> None:
        if self.learn_from not in ("patients", "nodules"):
            raise LunglineError(f"system.learn_from should be 'patients' or 'nodules'. Got '{self.learn_from}'.")
        if self.start not in ("random", "reduction"):
            raise LunglineError(f"system.start should be 'random' or 'reduction'. Got '{self.start}'.")
        if not 1 <= self.turns <= SYMMETRIES or (self.candidates or 1) < 1:
            raise LunglineError(
                f"system.turns should be 1 to {SYMMETRIES}, system.candidates 1 or more. "
                f"Got {self.turns}, {self.candidates}."
            )

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> PatchSystem:
        """Read one configuration entry."""
        return cls(
            detector=str(entry["detector"]),
            network=from_settings(CancerNetSpec, entry.get("network", {}), "system.network"),
            training=from_settings(PatientSchedule, entry["training"], "system.training"),
            **{name: entry[name] for name in entry if name not in ("detector", "network", "training")},
        )


@dataclass(frozen=True)
class VolumeInput:
    """How a lung region of any size becomes the input of a network of one size.

    Attributes
    ----------
    resize_to : int or None
        Edge in voxels of the cube to which every lung region is resized.
    pad_to : three ints, "largest" or None
        Shape (z, y, x) to which a lung region is filled up with air, evenly on both sides; "largest" takes the
        largest extents of the training patients. Exactly one of `resize_to` and `pad_to` is given.
    crop : int or None
        Edge of random cubes of the resized region, for training; the answer is the mean over those in the eight
        corners and the middle.
    """

    resize_to: int | None = None
    pad_to: tuple[int, int, int] | str | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        if (self.resize_to is None) == (self.pad_to is None):
            raise LunglineError("system.input should have either resize_to or pad_to.")
        if isinstance(self.pad_to, str) and self.pad_to != "largest":
            raise LunglineError(f"input.pad_to should be three numbers or 'largest'. Got '{self.pad_to}'.")
        if self.crop is not None and not 8 <= self.crop < (self.resize_to or 0):
            raise LunglineError(
                f"input.crop should be 8 or more, and smaller than input.resize_to. Got {self.crop}, {self.resize_to}."
            )

    @property
    def shape_zyx(self) -> tuple[int, int, int] | None:
        """Shape of the network's input; None if the training patients decide."""
        if self.resize_to is None:
            return None if isinstance(self.pad_to, str) else self.pad_to
        return (self.crop or self.resize_to,) * 3


@dataclass(frozen=True)
class VolumeSystem:
    """Method 1, an entry of `systems:` with kind "volume": the whole lung region at once.

    Attributes
    ----------
    network : mapping
        Settings of a `CancerNetSpec`, without in_channels (1), shape_zyx (of `input`) and pool (mean): see
        `network_on`.
    """

    input: VolumeInput
    network: Mapping[str, Any]
    training: PatientSchedule

    def __post_init__(self) -> None:
        spec = self.network_on(self.input.shape_zyx or (8, 8, 8))  # refuses a setting that makes no sense
        if spec.norm == "batch" and (self.training.micro_batch or self.training.batch) < 2:
            raise LunglineError("network.norm 'batch' needs a training.micro_batch of 2 or more.")

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> VolumeSystem:
        """Read one configuration entry."""
        return cls(
            input=from_settings(VolumeInput, entry["input"], "system.input"),
            network=dict(entry.get("network", {})),
            training=from_settings(PatientSchedule, entry["training"], "system.training"),
        )

    def network_on(self, shape_zyx: tuple[int, int, int]) -> CancerNetSpec:
        """The network for an input of this shape."""
        for key in ("in_channels", "shape_zyx", "pool"):
            if key in self.network:
                raise LunglineError(f"system.network: '{key}' follows from system.input. Leave it out.")
        settings = {**self.network, "in_channels": 1, "shape_zyx": shape_zyx, "pool": "mean"}
        return from_settings(CancerNetSpec, settings, "system.network")


@dataclass(frozen=True)
class ConstantSystem:
    """A baseline, an entry of `systems:` with kind "constant": the same answer to everybody.

    Attributes
    ----------
    probability : float or "prior"
        Of cancer, 0..1; "prior" takes the share of cancer among the labelled patients of train and valid.
    """

    probability: float | str

    def __post_init__(self) -> None:
        number = isinstance(self.probability, int | float) and 0 <= self.probability <= 1
        if not number and self.probability != "prior":
            raise LunglineError(f"system.probability should be 0 to 1, or 'prior'. Got {self.probability!r}.")

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> ConstantSystem:
        """Read one configuration entry."""
        return cls(entry["probability"])


SystemSpec = PatchSystem | VolumeSystem | ConstantSystem
KINDS: dict[str, type[PatchSystem] | type[VolumeSystem] | type[ConstantSystem]] = {
    "patches": PatchSystem,
    "volume": VolumeSystem,
    "constant": ConstantSystem,
}


def read_system(entry: Mapping[str, Any]) -> SystemSpec:
    """Read one entry of `systems:` in the configuration; its `kind` says what the network sees."""
    kind = entry.get("kind")
    if kind not in KINDS:
        raise LunglineError(f"system.kind should be one of {', '.join(KINDS)}. Got '{kind}'.")
    parts = {name: value for name, value in entry.items() if name != "kind"}
    refuse_unknown(parts, KINDS[kind], f"system of kind '{kind}': no part")
    return KINDS[kind].from_config(parts)
