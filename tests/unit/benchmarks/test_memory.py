"""One training step of method 1 fits the 12 GB of the paper's card; the reckoning itself is checked by hand."""

import pytest
import torch

from benchmarks import memory
from lungline.config.networks import CancerNetSpec, PatientSchedule

TABLE_2 = (48, 48, 64, 64, 96, 96)


@pytest.mark.parametrize(
    ("shape_zyx", "norm", "schedule"),
    [
        ((208, 168, 205), "none", PatientSchedule(steps=1, batch=3, micro_batch=1)),
        ((64, 64, 64), "none", PatientSchedule(steps=1, batch=64, micro_batch=16)),
        ((64, 64, 64), "batch", PatientSchedule(steps=1, batch=64, micro_batch=32)),
    ],
)
def test_a_step_of_method_1_fits_12_gb(shape_zyx, norm, schedule):
    needed = memory.compute(CancerNetSpec(in_channels=1, shape_zyx=shape_zyx, channels=TABLE_2, norm=norm), schedule)
    assert needed.total < 12e9
    assert needed.total > 2e9


def test_at_full_size_it_does_not_fit_as_it_is_written():
    needed = memory.compute(
        CancerNetSpec(in_channels=1, shape_zyx=(208, 168, 205), channels=TABLE_2), PatientSchedule(steps=1, batch=3)
    )
    assert needed.total > 12e9


def test_what_autograd_keeps_is_what_a_hand_counts():
    """One channel a convolution on 16^3: input, five outputs of ReLU that are read again, and what pools need."""
    spec = CancerNetSpec(in_channels=1, shape_zyx=(16, 16, 16), channels=(1, 1, 1, 1, 1, 1), dense=4)
    needed = memory.compute(spec, PatientSchedule(steps=1, batch=1))
    parameters = 6 * 28 + (8 + 1) * 4 + 5
    assert needed.weights == 4 * parameters
    half = 2  # bytes of a value
    volumes = half * (3 * 16**3 + 3 * 8**3 + 3 * 4**3)  # input and two activations of each block
    assert volumes <= needed.kept <= volumes * 1.2 + 4000
    assert needed.inside == half * 2 * 16**3


def test_micro_batches_save_memory():
    spec = CancerNetSpec(in_channels=1, shape_zyx=(32, 32, 32), channels=(8, 8, 8, 8, 8, 8), dense=4)
    plain, divided = (memory.compute(spec, PatientSchedule(steps=1, batch=8, micro_batch=size)).step for size in (8, 2))
    assert divided < plain / 3


def test_bytes_that_are_gone_are_not_counted():
    live = memory.Live()
    with live:
        first = torch.zeros(1000)
        del first
        second = torch.zeros(500)
        second.view(50, 10)
    assert (live.now, live.peak) == (2000, 4000)
