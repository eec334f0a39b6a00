"""The three U-Nets: every slice once, in its place, and in bfloat16 what they are in float32."""

import numpy as np
import pytest
import torch

from lungline.config.networks import UNetSpec
from lungline.detection import axis_ensemble
from lungline.detection.axis_ensemble import predict_axis, predict_nodules, slices_at_once
from lungline.detection.slices import AXES, computed_slices, neighbouring_slices, stack_along
from lungline.detection.unet import UNet
from lungline.training.losses import nodule_loss

CPU = torch.device("cpu")


def balls(seed):
    """Scaled HU (Z, Y, X) of bright balls in a darker, noisy medium, and where they are."""
    rng = np.random.default_rng(seed)
    shape = (24, 44, 36)
    grid = np.indices(shape)
    ground_truth = np.zeros(shape, bool)
    for _ in range(5):
        centre = rng.uniform(4, np.array(shape) - 4).reshape(3, 1, 1, 1)
        ground_truth |= ((grid - centre) ** 2).sum(axis=0) <= rng.uniform(3, 5) ** 2
    return (0.1 + 0.6 * ground_truth + 0.05 * rng.normal(size=shape)).astype(np.float32), ground_truth


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model = UNet(UNetSpec(slices=3, base_channels=8, levels=3, dropout=0.0, norm="group"))
    optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
    for step in range(120):
        scaled, ground_truth = balls(step)
        images = torch.from_numpy(neighbouring_slices(scaled, "z", 8, 16, 3))
        loss = nodule_loss(
            model(images), torch.from_numpy(ground_truth[8:16, None].astype(np.float32)), positive=1, negative=1
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval().to(memory_format=torch.channels_last)


@pytest.mark.parametrize("axis", AXES)
def test_a_volume_is_its_slices_one_by_one(network, axis):
    scaled, _ = balls(99)
    found = predict_axis(scaled, network, axis, CPU)
    number = AXES.index(axis)
    for k in (0, 7, 8, scaled.shape[number] - 1):
        with torch.inference_mode():
            logits = network(torch.from_numpy(neighbouring_slices(scaled, axis, k, k + 1, 3)))
        np.testing.assert_allclose(found.take(k, axis=number), torch.sigmoid(logits)[0, 0].numpy(), atol=1e-5)


@pytest.mark.parametrize("axis", AXES)
def test_one_slice_in_three_is_what_all_are_there_and_interpolated_between(network, axis):
    scaled, _ = balls(99)
    all_of_them = stack_along(predict_axis(scaled, network, axis, CPU), axis)
    found = stack_along(predict_axis(scaled, network, axis, CPU, slice_step=3), axis)
    computed = list(computed_slices(len(found), 3))
    np.testing.assert_allclose(found[computed], all_of_them[computed], atol=1e-5)
    lower, upper = (all_of_them[k] for k in computed[1:3])
    np.testing.assert_allclose(found[computed[1] + 1], lower * 2 / 3 + upper / 3, atol=1e-5)
    assert not np.allclose(found, all_of_them, atol=1e-3)  # it is not the same search


@pytest.mark.parametrize("axis", AXES)
def test_in_its_box_a_slice_is_what_the_box_alone_is_and_nothing_is_found_beyond(network, axis):
    whole, (z, y, x) = np.zeros((24, 44, 36), np.float32), (slice(3, 21), slice(5, 38), slice(9, 30))
    boxed = np.ascontiguousarray(balls(99)[0][z, y, x].clip(0.01))
    whole[z, y, x] = boxed
    found = predict_axis(whole, network, axis, CPU, slice_box=True)
    np.testing.assert_allclose(found[z, y, x], predict_axis(boxed, network, axis, CPU), atol=1e-5)
    found[z, y, x] = 0
    assert not found.any()


def test_the_mean_is_over_the_axes_and_thinned_as_each_is(network):
    scaled, _ = balls(99)
    found = predict_nodules(scaled, dict.fromkeys(AXES, network), CPU, slice_step=2, slice_box=True)
    each = [predict_axis(scaled, network, axis, CPU, slice_step=2, slice_box=True) for axis in AXES]
    np.testing.assert_allclose(found["mean"], np.mean(each, axis=0), atol=1e-6)


def test_fewer_slices_are_computed_together_where_they_are_large():
    small, paper = UNetSpec(base_channels=8), UNetSpec()
    found = [slices_at_once(spec, pixels, CPU) for spec in (small, paper) for pixels in (100**2, 200**2, 360**2)]
    assert found == [8, 6, 2, 3, 1, 1]
    assert [slices_at_once(spec, 360**2, torch.device("cuda")) for spec in (small, paper)] == [64, 8]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("room", [1, 1 << 28])
def test_what_a_gpu_is_told_to_do_gives_what_a_cpu_gives(network, axis, room, monkeypatch):
    """On the CPU, since tests need no GPU: the same operations, told to run there."""
    monkeypatch.setattr(axis_ensemble, "_FEATURES_BYTES_GPU", room)
    scaled, _ = balls(98)
    stack = stack_along(scaled, axis)
    gpu = torch.device("cuda")
    for ways in ({}, {"slice_step": 3, "slice_box": True}):
        regions = axis_ensemble.regions_searched(stack, network.spec, gpu, **ways)
        found = axis_ensemble._infer_on(CPU, stack, network, "float32", regions)
        alone = axis_ensemble._infer_in_threads(CPU, stack, network, "float32", regions)
        assert found.any()
        np.testing.assert_allclose(found, alone, atol=1e-5)


def test_bfloat16_marks_what_float32_marks(network):
    scaled, ground_truth = balls(100)
    exact, quick = (predict_axis(scaled, network, "z", CPU, precision) for precision in ("float32", "bfloat16"))
    assert not np.array_equal(exact, quick)
    one, two = exact >= 0.8, quick >= 0.8
    assert dice(one, ground_truth) > 0.9  # it has learned something to mark
    assert dice(one, two) >= 0.998


def test_bfloat16_gives_the_same_bytes_each_time(network):
    scaled, _ = balls(101)
    one, two = (predict_axis(scaled, network, "y", CPU, "bfloat16") for _ in range(2))
    assert one.tobytes() == two.tobytes()


def dice(one, two):
    return 2 * np.count_nonzero(one & two) / (np.count_nonzero(one) + np.count_nonzero(two))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_any_number_of_threads_gives_the_same_bytes(network, precision):
    scaled = np.random.default_rng(3).random((21, 44, 60), dtype=np.float32)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(predict_axis(scaled, network, "y", torch.device("cpu"), precision).tobytes())
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1] == found[2]
