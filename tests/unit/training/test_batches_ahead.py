"""Whoever makes the batches of the coming steps, a step's batch is the same and they come in order."""

import os
from contextlib import closing

import numpy as np
import pytest
import torch

from lungline.errors import CorruptFileError
from lungline.training.loop import batches_ahead


def make_batch(step: int) -> list[tuple[np.ndarray, int]]:
    return [(np.random.default_rng(step).random(3), step), (np.full(2, step), os.getpid())]


@pytest.mark.parametrize("device", ["cpu", "cuda"])  # the processes for a GPU need none
@pytest.mark.parametrize("steps", [range(0), range(1), range(3, 9)])
def test_every_step_has_its_batch(device, steps):
    with closing(batches_ahead(make_batch, steps, torch.device(device))) as coming:
        for step in steps:
            (drawn, number), (_, process) = next(coming)
            assert number == step
            np.testing.assert_array_equal(drawn, make_batch(step)[0][0])
            assert (process == os.getpid()) == (device == "cpu")
        assert next(coming, None) is None


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_wrong_with_a_batch_is_said_in_its_own_words(device):
    def fails(step: int) -> int:
        if step == 1:
            raise CorruptFileError("a.h5: a damaged chunk. Delete the file and run again.")
        return step

    with closing(batches_ahead(fails, range(3), torch.device(device))) as coming:
        assert next(coming) == 0
        with pytest.raises(CorruptFileError, match=r"^a\.h5: a damaged chunk. Delete the file and run again.$"):
            next(coming)
