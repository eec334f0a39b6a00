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


def neighbouring_slices(volume: NDArray, axis: Axis, first: int, last: int, slices: int, step: int = 1) -> NDArray:
    """Slices first, first + step, ... below last along `axis` with their neighbours as channels: (n, slices, H, W).

    Beyond the ends of the volume the channels are zero, which is air in windowed HU.
    """
    stack = stack_along(volume, axis)
    at = np.arange(first, last, step)
    channels = np.zeros((len(at), slices, *stack.shape[1:]), dtype=volume.dtype)
    for channel in range(slices):
        seen = at + channel - slices // 2
        low, high = np.searchsorted(seen, (0, len(stack)))
        if low < high:
            channels[low:high, channel] = stack[seen[low] : seen[high - 1] + 1 : step]
    return channels


def computed_slices(count: int, step: int) -> range:
    """Which of `count` slices are computed where one in `step` is: evenly, as far from one end as from the other."""
    return range((count - 1) % step // 2, count, step)


def fill_between(stack: NDArray[np.float32], step: int) -> None:
    """Set the slices of a stack (n, H, W) between those of `computed_slices`: linear; the nearest at the ends."""
    computed = computed_slices(len(stack), step)
    first, last = computed[0], computed[-1]
    lower, upper = stack[first:last:step], stack[first + step :: step]
    for away in range(1, step):
        stack[first + away : last : step] = lower + np.float32(away / step) * (upper - lower)
    stack[:first], stack[last + 1 :] = stack[first], stack[last]


def lung_box(windowed: NDArray[np.float32]) -> tuple[slice, slice]:
    """The smallest rows and columns of a slice (H, W) of windowed HU beyond which all is 0, as outside the lungs."""
    inside = windowed > 0
    rows, columns = (np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(rows[0].item(), rows[-1].item() + 1), slice(columns[0].item(), columns[-1].item() + 1)
