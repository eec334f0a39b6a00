"""Networks and their schedules, as the configuration and the cards of trained models write them down."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from lungline.config.settings import Settings

Norm = Literal["none", "group", "batch"]


class UNetSpec(Settings):
    """The 2-D U-Net of Fig. 4."""

    slices: int = Field(1, ge=1, le=31, description="Neighbouring slices as input channels, odd; 1 in the paper.")
    base_channels: int = Field(
        64, ge=1, le=256, description="Channels of the first level, doubled at each; 64 in the paper."
    )
    levels: int = Field(5, ge=2, le=8, description="Levels, the first one counted; 5 in the paper.")
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of channels dropped between the two convolutions of a level."""
    norm: Literal["none", "group"] = "none"
    """Normalisation after each convolution, in groups of at most 8 channels; none in the paper."""

    @model_validator(mode="after")
    def _check(self) -> UNetSpec:
        if self.slices % 2 == 0:
            raise ValueError(f"slices: expected an odd number. Found {self.slices}.")
        return self


class VolumeNetwork(Settings):
    """Table 2 on a whole volume: what does not follow from `input`."""

    channels: tuple[int, int, int, int, int, int] = (48, 48, 64, 64, 96, 96)
    """Of the six convolutions conv1 to conv6."""
    dense: int = Field(256, ge=1, le=4096, description="Units of dense7; 256 in the paper.")
    dropout: float = Field(0.0, ge=0, lt=1, description="Share of units dropped between the two dense layers.")
    norm: Norm = "none"
    """Normalisation after each convolution: none in the paper's method 2; group: groups of at most 8 channels of one
    cube; batch: over the volumes that are computed together, of kind whole_volume alone."""

    @model_validator(mode="after")
    def _check(self) -> VolumeNetwork:
        if not 1 <= min(self.channels) <= max(self.channels) <= 1024:
            raise ValueError(f"channels: expected 1 to 1024 each. Found {list(self.channels)}.")
        return self


class CancerNetSpec(VolumeNetwork):
    """The 3-D CNN of Table 2."""

    in_channels: int = Field(2, ge=1, description="2 for candidate cubes (HU, probability), 1 for a whole volume.")
    shape_zyx: tuple[int, int, int] = (32, 32, 32)
    """Input shape in voxels, 8 to 512 each; of candidates three times crop_patches.size. A pool halves and drops an
    odd last voxel: 54, 27, 13, 6."""
    pool: Literal["max", "mean", "noisy_or"] = "max"
    """How the logits of a patient's cubes become one: the largest, as in the paper; their mean; or noisy-or:
    at least one cancer among independent cubes and a learned leak probability."""
    hand_crafted_features: bool = False
    """Weigh hand-crafted features of a nodule (volume, density) with its logit; fitted after the training."""

    @model_validator(mode="after")
    def _check_input(self) -> CancerNetSpec:
        if self.hand_crafted_features and self.in_channels != 2:
            raise ValueError(
                f"in_channels: hand_crafted_features needs 2, HU and probability. Found {self.in_channels}."
            )
        if not 8 <= min(self.shape_zyx) <= max(self.shape_zyx) <= 512:
            raise ValueError(f"shape_zyx: expected 8 to 512 voxels each. Found {list(self.shape_zyx)}.")
        return self


class Schedule(Settings):
    """How a network is trained."""

    steps: int = Field(ge=1, description="Optimiser steps in all.")
    batch: int = Field(
        ge=1, description="Slices (U-Net), candidates (false-positive reduction) or patients (classifiers) a step."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Adam's.")
    weight_decay: float = Field(0.0, ge=0, description="L2, as a term of the gradient; 0.0005 in the authors' code.")
    validate_every: int = Field(100, ge=1, description="Steps between two evaluations of the validation split.")
    decay: Literal["constant", "cosine"] = "constant"
    """Of the learning rate: none, or along a half cosine to zero."""
    checkpoint: Literal["best", "last"] = "best"
    """Which weights are written: best, of the validation with the smallest loss; or last, meant for a falling learning
    rate."""
    seed: int | None = Field(None, ge=0, description="Of this training, to repeat it; null: the seed of the run.")

    def seed_in(self, run: int) -> int:
        """The seed of this training in a run with that seed."""
        return run if self.seed is None else self.seed


class PatientSchedule(Schedule):
    """How a cancer network is trained, and made to fit the memory of a graphics card."""

    micro_batch: int | None = Field(None, ge=1)
    """Patients computed together; their gradients are added up to those of batch patients; null: all."""

    @model_validator(mode="after")
    def _check(self) -> PatientSchedule:
        if self.micro_batch is not None and self.micro_batch > self.batch:
            raise ValueError(f"micro_batch: expected 1 to batch, {self.batch}. Found {self.micro_batch}.")
        return self
