"""Slices of a volume along its three axes: the only place that moves axes.

The three U-Nets (paper, section 4.2) see the slices perpendicular to z, y and x. A slice keeps the order of
the two axes that are left: (y, x) along z, (z, x) along y, (z, y) along x.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Axis = Literal["z", "y", "x"]
AXES: tuple[Axis, ...] = ("z", "y", "x")


def number_of(axis: Axis) -> int:
    """Array axis of a name: z 0, y 1, x 2."""
    return AXES.index(axis)


def stack_along(volume_zyx: NDArray, axis: Axis) -> NDArray:
    """All slices along `axis`, as a view (slices, rows, columns)."""
    return np.moveaxis(volume_zyx, number_of(axis), 0)


def unstack_along(slices: NDArray, axis: Axis) -> NDArray:
    """The volume (Z, Y, X) again, as a view; the inverse of `stack_along`."""
    return np.moveaxis(slices, 0, number_of(axis))


def neighbouring_slices(volume: NDArray, axis: Axis, first: int, last: int, slices: int) -> NDArray:
    """Slices first..last-1 along `axis` with their neighbours as channels: (last - first, slices, H, W).

    Beyond the ends of the volume the channels are zero, which is air in windowed HU.
    """
    stack = stack_along(volume, axis)
    reach = slices // 2
    channels = np.zeros((last - first, slices, *stack.shape[1:]), dtype=volume.dtype)
    for channel in range(slices):
        offset = channel - reach
        low, high = max(first + offset, 0), min(last + offset, stack.shape[0])
        if low < high:
            channels[low - first - offset : high - first - offset, channel] = stack[low:high]
    return channels
