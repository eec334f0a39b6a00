"""Goals 6 and 8: the U-Nets on slices, and a training step of the cancer network.

Both ways run in child processes, ours after `keep_freed_memory`, as every command of lungline does.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import lungline
from benchmarks.speed.measure import Check, Comparison, dice, interleave, timed_apart
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.allocator import keep_freed_memory
from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.detection.axis_ensemble import predict_axis, predict_nodules
from lungline.detection.slices import AXES, Axis, stack_along
from lungline.detection.unet import UNet
from lungline.device import half_precision
from lungline.imaging.intensity import mask_outside, scale_hu
from lungline.names import Precision
from lungline.training.losses import cancer_loss
from lungline.training.model_folder import checked_card, load_unet
from lungline.training.patients import Patients, winner_loss
from tests import literal

CPU = torch.device("cpu")
DETECTOR = Path(lungline.__file__).with_name("pretrained") / "detector"
THRESHOLD = 0.25  # the packaged detector's
PAPER, SMALLER = UNetSpec(), UNetSpec(base_channels=32, levels=4)
_EDGE = 368  # a slice of 358 x 358, filled up to whole pools
_EVERY = 48  # slices of three axes that are computed: one in so many
_CUBES = 20


def packaged_networks(device: torch.device) -> tuple[dict[Axis, UNet], dict[str, Any]]:
    """The three U-Nets in the package as a command loads them, and how the scans they read were cached."""
    made_by: dict[str, Any] = checked_card(DETECTOR / "z")["cache"]
    return {axis: load_unet(DETECTOR / axis, device) for axis in AXES}, made_by


def channels_first(networks: dict[Axis, UNet]) -> dict[Axis, UNet]:
    """The same networks in torch's own memory layout."""
    own = copy.deepcopy(networks)
    return {axis: nn.Module.to(network, memory_format=torch.contiguous_format) for axis, network in own.items()}


def _interleave(theirs: Callable[[], Any], ours: Callable[[], Any], pairs: int, warm_ups: int = 0) -> tuple[Any, ...]:
    apart = partial(timed_apart, warm_ups=warm_ups)
    return interleave(theirs, ours, pairs, apart, partial(apart, set_up=keep_freed_memory))


def u_net(adult: SimulatedAdult) -> list[Comparison]:
    """Goal 6: half precision against float32 on the same region, and the lung box against whole slices."""
    torch.manual_seed(0)
    found = [_one_slice(adult, PAPER, 3.0), _one_slice(adult, SMALLER, None)]
    whole = scale_hu(mask_outside(adult.fine, adult.mask).array)
    boxed = np.ascontiguousarray(whole[adult.box])
    network, quick = _network(SMALLER)

    def theirs() -> None:
        for axis in AXES:
            literal.detect_slices(network, stack_along(whole, axis)[::_EVERY])

    def ours(volume: NDArray[np.float32]) -> None:
        for axis in AXES:
            thinned = volume[tuple(slice(None, None, _EVERY if name == axis else 1) for name in AXES)]
            predict_axis(thinned, quick, axis, CPU, "bfloat16")

    what, our_way = f"U-Net of 32 channels, 4 levels, along three axes (1 slice in {_EVERY})", "bfloat16, lung box"
    taken, _, _ = _interleave(theirs, lambda: ours(boxed), adult.pairs)
    found.append(Comparison(6, what, "torch eager float32, whole slices", our_way, taken, 7))
    taken, _, _ = _interleave(lambda: ours(whole), lambda: ours(boxed), adult.pairs)
    return [*found, Comparison(6, what, "bfloat16, whole slices", our_way, taken), _answers(whole, boxed, adult)]


def _network(spec: UNetSpec) -> tuple[nn.Module, UNet]:
    """An untrained U-Net as torch makes it, and the same as `load_unet` hands it out."""
    network = UNet(spec).eval()
    return network, copy.deepcopy(network).to(memory_format=torch.channels_last)


def _one_slice(adult: SimulatedAdult, spec: UNetSpec, at_least: float | None) -> Comparison:
    network, quick = _network(spec)
    image = np.random.default_rng(0).random((1, _EDGE, _EDGE), dtype=np.float32)
    taken, wanted, found = _interleave(
        lambda: literal.detect_slices(network, image),
        lambda: predict_axis(image, quick, "z", CPU, "bfloat16"),
        adult.pairs,
        warm_ups=3,
    )
    error = float(np.abs(wanted - found).max())
    checks = (Check("largest difference of a probability (untrained)", error, "<=", 0.02),)
    what = f"U-Net of {spec.base_channels} channels, {spec.levels} levels, a slice of {_EDGE} x {_EDGE}"
    return Comparison(6, what, "torch eager float32", "bfloat16, channels last", taken, at_least, checks)


def _answers(whole: NDArray[np.float32], boxed: NDArray[np.float32], adult: SimulatedAdult) -> Comparison:
    """What the mean of the packaged networks marks, in both ways, on both regions."""
    quick, _ = packaged_networks(CPU)
    networks = channels_first(quick)

    taken, wanted, found = _interleave(
        lambda: predict_nodules(boxed, networks, CPU)["mean"],
        lambda: predict_nodules(boxed, quick, CPU, "bfloat16")["mean"],
        1,
    )
    marked = wanted >= THRESHOLD
    everywhere = predict_nodules(whole, quick, CPU)["mean"][adult.box]
    nodules = adult.nodules[adult.box]
    checks = (
        Check("Dice of bfloat16 with float32, same region", dice(marked, found >= THRESHOLD), ">=", 0.998),
        Check("Dice of lung box with whole slices", dice(marked, everywhere >= THRESHOLD), "reported"),
        Check("share of the nodules that is marked", (marked & nodules).sum() / nodules.sum(), ">=", 0.5),
    )
    what = "the three U-Nets in the package, all slices of the lung box"
    return Comparison(6, what, "float32, channels first", "bfloat16, channels last", taken, None, checks)


def cancer_net(adult: SimulatedAdult) -> list[Comparison]:
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
    taken, _, _ = _interleave(lambda: whole(ours), lambda: winner("float32"), adult.pairs, warm_ups=3)
    what = f"training step, a patient with {_CUBES} cubes of 32"
    alone = Comparison(8, what, "ours, gradient through all cubes", "winner only, float32", taken, 2, checks)
    taken, _, _ = _interleave(lambda: whole(theirs), lambda: winner("bfloat16"), adult.pairs, warm_ups=3)
    return [alone, Comparison(8, what, "torch eager float32, all cubes", "winner only, bfloat16", taken, 4)]
