"""Three U-Nets over every slice, averaged (paper, section 4.2)."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from lungline.config.networks import UNetSpec
from lungline.detection.slices import Axis, neighbouring_slices, stack_along, unstack_along
from lungline.detection.unet import UNet
from lungline.device import half_precision, map_in_parallel, to_device
from lungline.names import Precision

_MOST_AT_ONCE, _MOST_AT_ONCE_GPU = 8, 64
#: What the first level's features may take on a CPU, bytes: in the processor's cache a slice takes a third less time.
_FEATURES_BYTES = 1 << 23
#: The same on a GPU, where more slices at once keep it busy: a few such features must fit into 12 GB.
_FEATURES_BYTES_GPU = 1 << 28


def predict_axis(
    windowed: NDArray[np.float32], network: UNet, axis: Axis, device: torch.device, precision: Precision = "float32"
) -> NDArray[np.float32]:
    """Nodule probability (Z, Y, X) of HU windowed to 0..1 (Z, Y, X), from every slice along one axis."""
    if device.type == "cuda":
        return unstack_along(_infer_on(device, stack_along(windowed, axis), network, precision), axis)
    probability = np.empty(windowed.shape, dtype=np.float32)
    stack = stack_along(probability, axis)
    at_once = slices_at_once(network.spec, stack[0].size, device)

    def infer(first: int) -> None:
        last = min(first + at_once, stack.shape[0])
        slices = neighbouring_slices(windowed, axis, first, last, network.spec.slices)  # those are its input channels
        autocast, _ = half_precision(device, precision)
        with autocast:
            logits = network(torch.from_numpy(slices).to(device, memory_format=torch.channels_last))
            stack[first:last] = torch.sigmoid(logits.float()).squeeze(1).cpu().numpy()

    map_in_parallel(infer, range(0, stack.shape[0], at_once), device)
    return unstack_along(stack, axis)


def _infer_on(
    device: torch.device, stack: NDArray[np.float32], network: UNet, precision: Precision
) -> NDArray[np.float32]:
    """Probability of slices (n, H, W), all on a GPU: they go there once, and the result comes back once."""
    slices, n = network.spec.slices, len(stack)
    air = np.zeros((slices // 2, *stack.shape[1:]), dtype=stack.dtype)  # as `neighbouring_slices` sees beyond the ends
    windowed = to_device(torch.from_numpy(np.concatenate([air, stack, air])), device)
    probability = torch.empty(stack.shape, device=device)
    at_once = slices_at_once(network.spec, stack[0].size, device)
    autocast, _ = half_precision(device, precision)
    with torch.inference_mode(), autocast:
        for first in range(0, n, at_once):
            last = min(first + at_once, n)
            some = torch.stack([windowed[first + k : last + k] for k in range(slices)], dim=1)
            logits = network(some.contiguous(memory_format=torch.channels_last))
            probability[first:last] = torch.sigmoid(logits.float()).squeeze(1)
    return probability.cpu().numpy()


def slices_at_once(spec: UNetSpec, pixels: int, device: torch.device) -> int:
    """How many slices of so many pixels are computed together."""
    room, most = (_FEATURES_BYTES_GPU, _MOST_AT_ONCE_GPU) if device.type == "cuda" else (_FEATURES_BYTES, _MOST_AT_ONCE)
    return max(1, min(most, room // (4 * spec.base_channels * pixels)))


def predict_nodules(
    windowed: NDArray[np.float32], networks: Mapping[Axis, UNet], device: torch.device, precision: Precision = "float32"
) -> dict[str, NDArray[np.float32]]:
    """Probability of each axis and their mean, under "z", "y", "x" and "mean"."""
    volumes: dict[str, NDArray[np.float32]] = {
        axis: predict_axis(windowed, network, axis, device, precision) for axis, network in networks.items()
    }
    mean = sum(volumes.values(), start=np.zeros_like(windowed)) / np.float32(len(volumes))
    return {**volumes, "mean": mean}
