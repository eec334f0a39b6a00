"""The entries of `detectors:` and `classifiers:` in the configuration: what each kind consists of."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from lungline.config.networks import CancerNetSpec, PatientSchedule, Schedule, UNetSpec, VolumeNetwork
from lungline.config.settings import Settings, read_settings
from lungline.names import Supervision

Threshold = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=1000)]
Resized = Annotated[int, Field(ge=8, le=256)]
RankBy = Literal["sum", "mean", "max"]
Symmetries = Annotated[int, Field(ge=1, le=48)]  # of a cube: 6 orders of its axes, 8 ways to mirror them


def _word_or_folder(*words: str) -> AfterValidator:
    """Whose weights a training begins with: one of these words, or a folder, which a slash tells from a slip."""

    def check(value: str) -> str:
        if value not in words and "/" not in value:
            raise ValueError(f"expected {', '.join(words)} or the path of a folder, with a '/'. Found '{value}'.")
        return value

    return AfterValidator(check)


def _without_batch_norm(network: CancerNetSpec) -> CancerNetSpec:
    """Cubes of one patient are no batch."""
    if network.norm == "batch":
        raise ValueError("norm: expected 'none' or 'group' for cubes. Found 'batch'.")
    return network


CubeNetwork = Annotated[CancerNetSpec, AfterValidator(_without_batch_norm)]


class ExtractCandidates(Settings):
    """How candidates are picked from the mean probability of the three axes (paper, section 4.2)."""

    threshold: Threshold = Field(0.8, description="Mean nodule probability from which a voxel counts; the paper's 0.8.")
    count: Count = Field(20, description="Candidates kept of a scan, strongest first; the paper's 20.")
    rank_by: RankBy = "sum"
    """What "strongest" means, of the probability over a candidate; the paper's is the sum."""
    split: bool = Field(False, description="Take a cluster with several peaks apart.")
    min_finding_score: float | None = None
    """Score from which on a candidate is a finding in table, page, SEG and SR, to be chosen on validation scans
    (`lungline evaluate-detection --split valid` says which score leaves how many false positives); null: every
    candidate is one."""


class OwnCandidates(Settings):
    """Where a detector picks candidates otherwise than `extract_candidates:` says."""

    threshold: Threshold | None = None
    count: Count | None = None
    rank_by: RankBy | None = None
    split: bool | None = None
    min_finding_score: float | None = None


class SliceSampling(Settings):
    """Which slices a U-Net is shown."""

    crop: int = Field(128, ge=8, description="Edge of the square crop in voxels; 128 in the authors' code.")
    positive_share: float = Field(0.5, ge=0, le=1)
    """Share of crops around an annotated nodule; the others come from anywhere. The authors showed no negative slice
    (1.0), so their network marks every vessel."""


class LossWeights(Settings):
    """The weights of Eq. 2."""

    positive: float = Field(200.0, gt=0, description="w_p, of nodule pixels.")
    negative: float = Field(0.5, gt=0, description="w_n, of all other pixels.")


class FprSpec(Settings):
    """The network that ranks a detector's candidates: it learns from the annotated LUNA-16 scans."""

    network: CubeNetwork = Field(CancerNetSpec(), description="Table 2 on a cube around each candidate.")
    positive_share: float = Field(0.25, gt=0, lt=1, description="Share of a batch that are nodules.")
    scans: int | None = Field(None, ge=1)
    """Training scans that it learns from, the first of the list; null: all. Searching them costs most of its
    training."""
    affine_and_intensity: bool = False
    """Affine and intensity augmentation: each cube is rotated, scaled and shifted a little, its contrast changed."""
    test_time_augmentation: Symmetries = Field(
        1, description="Test-time augmentation: symmetries of the cube over which a logit is averaged."
    )
    training: Schedule = Field(description="Its schedule; batch counts candidates.")

    @model_validator(mode="after")
    def _check(self) -> FprSpec:
        if len(set(self.network.shape_zyx)) != 1:
            raise ValueError(f"network.shape_zyx: expected a cube. Found {list(self.network.shape_zyx)}.")
        return self


class DetectorSpec(Settings):
    """One entry of `detectors:`: three U-Nets, one per axis, and what ranks their candidates."""

    network: UNetSpec = Field(UNetSpec(), description="The U-Net of each axis.")
    loss: LossWeights = Field(LossWeights(), description="Weights of the loss, Eq. 2.")
    sampling: SliceSampling = Field(SliceSampling(), description="Which slices are shown while training.")
    training: Schedule = Field(description="Schedule of each U-Net; batch counts slices.")
    init_from: Annotated[str, _word_or_folder("packaged")] | None = None
    """Fine-tuning: the folder of a trained detector (z/, y/, x/, and fpr/ where this one has an fpr) whose weights the
    trainings begin with, or packaged; same network. What it was trained on counts as seen. null: random weights."""
    candidates: OwnCandidates = OwnCandidates()
    """Keys of extract_candidates that this detector has otherwise; null: as there. With a false-positive reduction
    count is what it looks at, and extract_candidates.count of them are kept."""
    fpr: FprSpec | None = None
    """A second stage that ranks the candidates; null: none, as in the paper."""


class CandidateClassifier(Settings):
    """Method 2: candidate cubes, pooled over a patient."""

    kind: Literal["candidate"] = Field("candidate", description="Candidate cubes of a detector.")
    detector: str = Field(description="Entry of detectors whose candidates are scored.")
    supervision: Supervision = "patients"
    """What a training case is: a patient with all of his candidates and one label, or one candidate of an annotated
    scan, malignant or not (needs implanted)."""
    flips_and_rotations: bool = Field(True, description="Random flips and quarter turns of the cubes while training.")
    affine_and_intensity: bool = False
    """Affine and intensity augmentation: each cube is rotated, scaled and shifted a little, its contrast changed."""
    candidates: int | None = Field(None, ge=1, description="How many of the strongest are shown; null: all.")
    min_score: float | None = None
    """A candidate with a smaller score (a probability where the detector has a false-positive reduction) is not shown,
    unless it is the strongest; null: all are."""
    init_from: Annotated[str, _word_or_folder("random", "fpr", "packaged")] = "random"
    """First weights: random; fpr: the convolutions of the detector's FPR network (same channels and norm); packaged or
    the path of a model folder: all weights of that classifier (same network), for fine-tuning."""
    test_time_augmentation: Symmetries = Field(
        1, description="Test-time augmentation: symmetries of the cube over which a logit is averaged."
    )
    calibrate: bool = Field(False, description="Fit scale and shift of a patient's logit on the validation patients.")
    network: CubeNetwork = Field(CancerNetSpec(), description="Table 2 on a candidate's cube.")
    training: PatientSchedule = Field(description="Its schedule; batch counts patients.")


class VolumeInput(Settings):
    """How a lung region of any size becomes the input of a network of one size: either `resize_to` or `pad_to`."""

    resize_to: Resized | None = None
    """Edge in voxels of the cube to which every lung region is resized."""
    pad_to: Literal["largest"] | tuple[int, int, int] | None = None
    """Shape (z, y, x) in voxels to which a lung region is filled up with air, evenly on both sides; largest: the
    largest extents of the training patients."""
    crop: int | None = Field(None, ge=8)
    """Edge in voxels of random cubes of the resized region, for training; the answer is the mean over those in the
    eight corners and the middle."""

    @model_validator(mode="after")
    def _check(self) -> VolumeInput:
        if (self.resize_to is None) == (self.pad_to is None):
            raise ValueError("expected either resize_to or pad_to. Found both or none.")
        if isinstance(self.pad_to, tuple) and min(self.pad_to) < 8:
            raise ValueError(f"pad_to: expected 8 or more voxels each. Found {list(self.pad_to)}.")
        if self.crop is not None and self.crop >= (self.resize_to or 0):
            raise ValueError(f"crop: expected less than resize_to, {self.resize_to}. Found {self.crop}.")
        return self

    @property
    def shape_zyx(self) -> tuple[int, int, int] | None:
        """Shape of the network's input; None if the training patients decide."""
        if self.resize_to is None:
            return None if isinstance(self.pad_to, str) else self.pad_to
        return (self.crop or self.resize_to,) * 3


class WholeVolumeClassifier(Settings):
    """Method 1: the whole lung region at once."""

    kind: Literal["whole_volume"] = Field("whole_volume", description="The whole lung region.")
    input: VolumeInput = Field(description="What becomes of a lung region: either resize_to or pad_to.")
    network: VolumeNetwork = Field(VolumeNetwork(), description="Table 2 on the volume.")
    training: PatientSchedule = Field(description="Its schedule; batch counts patients.")

    @model_validator(mode="after")
    def _check(self) -> WholeVolumeClassifier:
        if self.network.norm == "batch" and (self.training.micro_batch or self.training.batch) < 2:
            raise ValueError("training.micro_batch: network.norm 'batch' needs 2 or more.")
        return self

    def network_on(self, shape_zyx: tuple[int, int, int]) -> CancerNetSpec:
        """The network for an input of this shape."""
        return CancerNetSpec(in_channels=1, shape_zyx=shape_zyx, pool="mean", **self.network.model_dump())


class BaselineClassifier(Settings):
    """A baseline: the same answer to everybody."""

    kind: Literal["baseline"] = Field("baseline", description="A baseline.")
    cancer_probability: Annotated[float, Field(ge=0, le=1)] | Literal["prior"]
    """The answer, 0 to 1; prior: the share of cancer among the labelled patients of train and valid."""


ClassifierSpec = Annotated[
    CandidateClassifier | WholeVolumeClassifier | BaselineClassifier, Field(discriminator="kind")
]


def read_classifier(
    entry: Any, where: str = "classifier"
) -> CandidateClassifier | WholeVolumeClassifier | BaselineClassifier:
    """Read one entry of `classifiers:`; its `kind` says what the network sees."""
    return read_settings(ClassifierSpec, entry, where)
