"""Goals 6 and 8: the U-Nets on slices, and a training step of the cancer network.

Both ways run in child processes, ours after `keep_freed_memory`, as every command of lungline does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.speed import literal
from benchmarks.speed.measure import Check, Comparison, Ours, Theirs, Took, dice, interleave_apart
from benchmarks.speed.simulated_adult import THRESHOLD, Scene
from lungline.allocator import keep_freed_memory
from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.detection.axis_ensemble import predict_axis, predict_nodules
from lungline.detection.slices import AXES, Axis, stack_along, unstack_along
from lungline.detection.unet import UNet
from lungline.device import half_precision
from lungline.imaging.intensity import mask_outside, scale_hu
from lungline.names import Precision
from lungline.training.losses import cancer_loss, nodule_loss
from lungline.training.patients import Patients, winner_loss

CPU = torch.device("cpu")
PAPER = UNetSpec()
SMALLER = UNetSpec(base_channels=32, levels=4)
TRIED = UNetSpec(base_channels=8, levels=4, dropout=0.0, norm="group")
_EDGE = 368  # a slice of 358 x 358, filled up to whole pools
_EVERY = 48  # slices of three axes that are computed: one in so many
_STEPS, _BATCH = 300, 8
_CUBES = 20


def _interleave(
    theirs: Callable[[], Theirs], ours: Callable[[], Ours], pairs: int, warm_ups: int = 0
) -> tuple[list[tuple[Took, Took]], Theirs, Ours]:
    return interleave_apart(theirs, ours, pairs, keep_freed_memory, warm_ups)


def u_net(scene: Scene) -> list[Comparison]:
    """Goal 6: half precision against float32 on the same region, and the lung box against whole slices."""
    torch.manual_seed(0)
    found = [_one_slice(scene, PAPER, 3.0), _one_slice(scene, SMALLER, None)]
    whole = scale_hu(mask_outside(scene.fine, scene.mask).array)
    boxed = np.ascontiguousarray(whole[scene.box])
    network, quick = _network(SMALLER)

    def theirs() -> None:
        for axis in AXES:
            literal.detect_slices(network, stack_along(whole, axis)[::_EVERY])

    def ours(volume: NDArray[np.float32], precision: Precision) -> None:
        for axis in AXES:
            predict_axis(_thinned(volume, axis), quick, axis, CPU, precision)

    taken, _, _ = _interleave(theirs, lambda: ours(boxed, "bfloat16"), scene.pairs)
    what = f"U-Net of 32 channels, 4 levels, along three axes (1 slice in {_EVERY})"
    found.append(Comparison(6, what, "torch eager float32, whole slices", "bfloat16, lung box", taken, 7))
    taken, _, _ = _interleave(lambda: ours(whole, "bfloat16"), lambda: ours(boxed, "bfloat16"), scene.pairs)
    found.append(Comparison(6, what, "bfloat16, whole slices", "bfloat16, lung box", taken))
    return [*found, _answers(scene, whole, boxed)]


def _network(spec: UNetSpec) -> tuple[nn.Module, UNet]:
    """An untrained U-Net as torch makes it, and the same as `load_unet` hands it out."""
    network = UNet(spec).eval()
    return network, copy.deepcopy(network).to(memory_format=torch.channels_last)


def _thinned(volume: NDArray[np.float32], axis: str) -> NDArray[np.float32]:
    steps = [slice(None, None, _EVERY if name == axis else 1) for name in AXES]
    return volume[tuple(steps)]


def _one_slice(scene: Scene, spec: UNetSpec, at_least: float | None) -> Comparison:
    network, quick = _network(spec)
    image = np.random.default_rng(0).random((1, _EDGE, _EDGE), dtype=np.float32)
    taken, wanted, found = _interleave(
        lambda: literal.detect_slices(network, image),
        lambda: predict_axis(image, quick, "z", CPU, "bfloat16"),
        scene.pairs,
        warm_ups=3,
    )
    error = float(np.abs(wanted - found).max())
    checks = (Check("largest difference of a probability (untrained)", error, "<=", 0.02),)
    what = f"U-Net of {spec.base_channels} channels, {spec.levels} levels, a slice of {_EDGE} x {_EDGE}"
    return Comparison(6, what, "torch eager float32", "bfloat16, channels last", taken, at_least, checks)


def _answers(scene: Scene, whole: NDArray[np.float32], boxed: NDArray[np.float32]) -> Comparison:
    """Networks that have learned the nodules of this scan: what their mean marks, in both ways, on both regions."""
    nodules = np.ascontiguousarray(scene.nodules[scene.box])
    networks = {axis: _train(boxed, nodules, axis) for axis in AXES}
    quick = {axis: copy.deepcopy(network).to(memory_format=torch.channels_last) for axis, network in networks.items()}

    def theirs() -> NDArray[np.float32]:
        found = [unstack_along(literal.detect_slices(networks[axis], stack_along(boxed, axis)), axis) for axis in AXES]
        return np.mean(found, axis=0)

    taken, wanted, found = _interleave(theirs, lambda: predict_nodules(boxed, quick, CPU, "bfloat16"), 1)
    marked = wanted >= THRESHOLD
    everywhere = predict_nodules(whole, quick, CPU)["mean"][scene.box]
    checks = (
        Check("Dice of bfloat16 with float32, same region", dice(marked, found["mean"] >= THRESHOLD), ">=", 0.998),
        Check("Dice of lung box with whole slices", dice(marked, everywhere >= THRESHOLD), "reported"),
        Check("Dice with the nodules they were shown", dice(marked, nodules), ">=", 0.5),
    )
    what = f"three U-Nets of 8 channels, 4 levels, trained {_STEPS} steps, all slices of the lung box"
    return Comparison(6, what, "torch eager float32", "bfloat16, channels last", taken, None, checks)


def _train(scaled_zyx: NDArray[np.float32], nodules_zyx: NDArray[np.bool_], axis: Axis) -> UNet:
    """A few steps on slices along one axis, half of them through a nodule and half anywhere."""
    scaled, nodules = stack_along(scaled_zyx, axis), stack_along(nodules_zyx, axis)
    torch.manual_seed(0)
    network = UNet(TRIED)
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    rng = np.random.default_rng(0)
    edge = min(96, *scaled.shape[1:])
    at = np.argwhere(nodules)
    for _ in range(_STEPS):
        images, labels = [], []
        for number in range(_BATCH):
            centre = at[rng.integers(len(at))] if number % 2 else rng.integers(scaled.shape)
            top, left = (
                int(np.clip(middle - rng.integers(edge), 0, n - edge))
                for middle, n in zip(centre[1:], scaled.shape[1:], strict=True)
            )
            part = (centre[0], slice(top, top + edge), slice(left, left + edge))
            images.append(scaled[part])
            labels.append(nodules[part])
        loss = nodule_loss(
            network(torch.from_numpy(np.stack(images)[:, None])),
            torch.from_numpy(np.stack(labels)[:, None].astype(np.float32)),
            positive=5,
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network.eval()


def cancer_net(scene: Scene) -> list[Comparison]:
    """Goal 8: one training step of one patient with 20 cubes, Table 2 at full width."""
    torch.manual_seed(0)
    ours = CancerNet(CancerNetSpec()).train()
    theirs = literal.Table2(ours)
    cubes = np.random.default_rng(0).random((_CUBES, 2, 32, 32, 32), dtype=np.float32).astype(np.float16)
    patients: Patients = [(cubes, 1)]

    def whole(network: nn.Module) -> list[torch.Tensor]:
        """All cubes with a graph; the maximum's gradient."""
        network.zero_grad()
        logits = network(torch.from_numpy(cubes).float())
        cancer_loss(logits.max()[None], torch.ones(1)).backward()
        return [parameter.grad for parameter in network.parameters()]

    def winner(precision: Precision) -> list[torch.Tensor]:
        ours.zero_grad()
        with half_precision(CPU, precision)[0]:
            loss = winner_loss(ours, patients, CPU)
        loss.backward()
        return [parameter.grad for parameter in ours.parameters()]

    wanted = [gradient.clone() for gradient in whole(ours)]
    largest = max(float(gradient.abs().max()) for gradient in wanted)
    found = winner("float32")
    error = max(float((a - b).abs().max()) for a, b in zip(wanted, found, strict=True)) / largest
    checks = (Check("largest difference of the gradient, relative", error, "<=", 1e-5),)
    taken, _, _ = _interleave(lambda: whole(ours), lambda: winner("float32"), scene.pairs, warm_ups=3)
    what = f"training step, a patient with {_CUBES} cubes of 32"
    alone = Comparison(8, what, "ours, gradient through all cubes", "winner only, float32", taken, 2, checks)
    taken, _, _ = _interleave(lambda: whole(theirs), lambda: winner("bfloat16"), scene.pairs, warm_ups=3)
    return [alone, Comparison(8, what, "torch eager float32, all cubes", "winner only, bfloat16", taken, 4)]
