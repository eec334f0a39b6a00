"""Three U-Nets over every slice, averaged (paper, section 4.2)."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lungline.config.networks import UNetSpec
from lungline.detection.slices import (
    Axis,
    computed_slices,
    fill_between,
    lung_box,
    neighbouring_slices,
    stack_along,
    unstack_along,
)
from lungline.detection.unet import UNet
from lungline.device import half_precision, map_in_parallel, to_device
from lungline.names import Precision

Region = tuple[range, tuple[slice, slice]]  # slices, and their rows and columns

_MAX_BATCH, _MAX_BATCH_GPU = 8, 64
#: What the first level's features may take on a CPU, bytes: in the processor's cache a slice takes a third less time.
_FEATURES_BYTES = 1 << 23
#: The same on a GPU, where more slices at once keep it busy: a few such features must fit into 12 GB.
_FEATURES_BYTES_GPU = 1 << 28


def predict_axis(
    windowed: NDArray[np.float32],
    network: UNet,
    axis: Axis,
    device: torch.device,
    precision: Precision = "float32",
    *,
    slice_step: int = 1,
    slice_box: bool = False,
) -> NDArray[np.float32]:
    """Nodule probability (Z, Y, X) of HU windowed to 0..1 (Z, Y, X), from one slice in `slice_step` along one axis.

    Between those slices the probability is interpolated. The volume is already cropped to the lungs' bounding box;
    with `slice_box` each slice is cropped again, to the lungs in it, and the probability is 0 beyond.
    """
    stack = stack_along(windowed, axis)
    regions = regions_searched(stack, network.spec, device, slice_step=slice_step, slice_box=slice_box)
    infer = _infer_on if device.type == "cuda" else _infer_in_threads
    found = infer(device, stack, network, precision, regions)
    fill_between(found, slice_step)
    return unstack_along(found, axis)


def regions_searched(
    stack: NDArray[np.float32], spec: UNetSpec, device: torch.device, *, slice_step: int = 1, slice_box: bool = False
) -> list[Region]:
    """Which slices of a stack (n, H, W) are computed together, and in which box; see `predict_axis`."""
    computed = computed_slices(len(stack), slice_step)
    batch = 1 if slice_box else slices_at_once(spec, stack[0].size, device)  # each has a box of its own
    parts = [computed[i : i + batch] for i in range(0, len(computed), batch)]
    return [(part, lung_box(stack[part.start]) if slice_box else (slice(None), slice(None))) for part in parts]


def _infer_in_threads(
    device: torch.device,
    stack: NDArray[np.float32],
    network: UNet,
    precision: Precision,
    regions: Sequence[Region],
) -> NDArray[np.float32]:
    """Probability of the slices in `regions` of a stack (n, H, W), with its memory layout; 0 elsewhere."""
    probability = np.zeros_like(stack)

    def infer(region: Region) -> None:
        part, box = region
        bounds, boxed = (part.start, part.stop), stack[:, *box]
        if not boxed.size:
            return
        # The first axis of a stack is that of its slices, whatever axis it was made along.
        slices = neighbouring_slices(boxed, "z", *bounds, network.spec.slices, part.step)
        autocast, _scales_gradients = half_precision(device, precision)
        with autocast:
            logits = network(torch.from_numpy(slices).to(device, memory_format=torch.channels_last))
            probability[part.start : part.stop : part.step, *box] = torch.sigmoid(logits.float()).squeeze(1).numpy()

    map_in_parallel(infer, regions, device)
    return probability


def _infer_on(
    device: torch.device,
    stack: NDArray[np.float32],
    network: UNet,
    precision: Precision,
    regions: Sequence[Region],
) -> NDArray[np.float32]:
    """The same, all on a GPU: the slices go there once, and the result comes back once."""
    slices = network.spec.slices
    air = np.zeros((slices // 2, *stack.shape[1:]), dtype=stack.dtype)  # as `neighbouring_slices` sees beyond the ends
    windowed = to_device(torch.from_numpy(np.concatenate([air, stack, air])), device)
    probability = torch.zeros(stack.shape, device=device)
    autocast, _scales_gradients = half_precision(device, precision)
    with torch.inference_mode(), autocast:
        for part, box in regions:
            boxed = windowed[:, *box]
            if not boxed.numel():
                continue
            first, last = part.start, part.stop
            some = torch.stack([boxed[first + k : last + k : part.step] for k in range(slices)], dim=1)
            logits = network(some.contiguous(memory_format=torch.channels_last))
            probability[first : last : part.step, *box] = torch.sigmoid(logits.float()).squeeze(1)
    return probability.cpu().numpy()


def slices_at_once(spec: UNetSpec, pixels: int, device: torch.device) -> int:
    """How many slices of so many pixels are computed together."""
    room, most = (_FEATURES_BYTES_GPU, _MAX_BATCH_GPU) if device.type == "cuda" else (_FEATURES_BYTES, _MAX_BATCH)
    return max(1, min(most, room // (4 * spec.base_channels * pixels)))


def predict_nodules(
    windowed: NDArray[np.float32],
    networks: Mapping[Axis, UNet],
    device: torch.device,
    precision: Precision = "float32",
    *,
    slice_step: int = 1,
    slice_box: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """Probability of each axis that has a network, under its name, and their mean, under "mean"; see `predict_axis`."""
    volumes: dict[str, NDArray[np.float32]] = {
        axis: predict_axis(windowed, network, axis, device, precision, slice_step=slice_step, slice_box=slice_box)
        for axis, network in networks.items()
    }
    mean = sum(volumes.values(), start=np.zeros_like(windowed)) / np.float32(len(volumes))
    return {**volumes, "mean": mean}
