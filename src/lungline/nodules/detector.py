"""Three U-Nets over every slice, averaged (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lungline.device import half_precision, one_thread_each
from lungline.models.specs import UNetSpec
from lungline.models.unet import UNet
from lungline.names import Precision
from lungline.nodules.slices import Axis, neighbouring_slices, stack_along, unstack_along

_MOST_AT_ONCE = 8
#: What the first level's features may take on a CPU, bytes: near its caches a slice takes a third less time.
_FEATURES_BYTES = 1 << 23


def predict_axis(
    scaled: NDArray[np.float32],
    network: UNet,
    axis: Axis,
    device: torch.device,
    precision: Precision = "float32",
) -> NDArray[np.float32]:
    """Nodule probability (Z, Y, X) of scaled HU (Z, Y, X), from every slice along one axis."""
    probability = np.empty(scaled.shape, dtype=np.float32)
    stack = stack_along(probability, axis)
    at_once = slices_at_once(network.spec, stack[0].size, device)

    def search(first: int) -> None:
        last = min(first + at_once, stack.shape[0])
        slices = neighbouring_slices(scaled, axis, first, last, network.spec.slices)
        with half_precision(device, precision)[0]:
            logits = network(torch.from_numpy(slices).to(device, memory_format=torch.channels_last))
            stack[first:last] = torch.sigmoid(logits.float()).squeeze(1).cpu().numpy()

    one_thread_each(search, range(0, stack.shape[0], at_once), device)
    return unstack_along(stack, axis)


def slices_at_once(spec: UNetSpec, pixels: int, device: torch.device) -> int:
    """How many slices of so many pixels are computed together."""
    if device.type == "cuda":
        return _MOST_AT_ONCE
    return max(1, min(_MOST_AT_ONCE, _FEATURES_BYTES // (4 * spec.base_channels * pixels)))


def predict_nodules(
    scaled: NDArray[np.float32],
    networks: Mapping[Axis, UNet],
    device: torch.device,
    precision: Precision = "float32",
) -> dict[str, NDArray[np.float32]]:
    """Probability of each axis and their mean, under "z", "y", "x" and "mean"."""
    volumes: dict[str, NDArray[np.float32]] = {
        axis: predict_axis(scaled, network, axis, device, precision) for axis, network in networks.items()
    }
    mean = sum(volumes.values(), start=np.zeros_like(scaled)) / np.float32(len(volumes))
    return {**volumes, "mean": mean}
