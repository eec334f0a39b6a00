"""The protocol of a training: network, batches, loss, validation, model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor, nn

from lungline.storage.hdf5 import Flag

Batch = TypeVar("Batch")
Evaluation = dict[str, float]


class TrainingTask(Protocol[Batch]):
    """One training, as `lungline.training.loop.fit` sees it; `evaluate`, `warnings` and `finish` run without gradients.

    `stage` is the module of `lungline.stages` that trains it; the network is trained in place.
    """

    stage: ClassVar[str]
    model: nn.Module

    def batch(self, step: int) -> Batch:
        """The batch of a step: a function of the step alone, made ahead of the training, maybe in another process."""

    def micro_batches(self, batch: Batch) -> Sequence[tuple[float, Batch]]:
        """Parts of a batch that are computed one by one, each with its share of the step; their gradients add up."""
        return [(1.0, batch)]

    def loss(self, batch: Batch) -> Tensor:
        """The mean loss of a batch, a scalar with a gradient."""

    def evaluate(self) -> Evaluation:
        """Numbers of the validation split, among them `valid_loss`; the best weights have the smallest."""

    def warnings(self, curve: Sequence[Evaluation]) -> Sequence[Flag]:
        """What is wrong with the trained network or its learning curve; printed, and kept in the card."""
        return ()

    def finish(self) -> Mapping[str, Any]:
        """Fit what is not learned by optimiser steps; entries of the card."""
        return {}

    def card(self) -> Mapping[str, Any]:
        """What the card says of the network before it is trained: `purpose`, `input`, settings."""

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        """Split ("train", "valid") -> scan -> the files (HDF5 first) that it is read from."""
