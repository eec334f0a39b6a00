"""HU outside the lungs, and HU as a network sees it (paper, section 3)."""

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.volume import Box, Volume

#: The window that is scaled to 0..1 (paper, section 3).
WINDOW_HU = (-1000.0, 400.0)


def mask_outside(ct: Volume, mask: NDArray[np.bool_], *, outside_hu: float = -1000.0) -> Volume:
    """The CT as int16 HU with every voxel outside `mask` (Z, Y, X) set to `outside_hu`."""
    kept = np.where(mask, np.rint(ct.array), outside_hu)
    return ct.with_array(kept.astype(np.int16))


def scale_hu(ct_hu: NDArray) -> NDArray[np.float32]:
    """HU clipped to -1000..+400 and scaled linearly to 0..1, float32, any shape."""
    low, high = WINDOW_HU
    return ((np.clip(ct_hu, low, high) - low) / (high - low)).astype(np.float32)


def bounding_box(mask: NDArray[np.bool_]) -> Box:
    """The smallest box (z, y, x slices) that holds every true voxel; the whole array when there is none."""
    box = []
    for axis in range(3):
        found = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(found[0]), int(found[-1]) + 1) if found.size else slice(0, mask.shape[axis]))
    return box[0], box[1], box[2]


def lung_region(cached: Volume, *, outside_hu: float = -1000.0) -> Volume:
    """The smallest box of a cached volume that holds every voxel which is not `outside_hu`."""
    return cached.crop(bounding_box(cached.array != np.int16(outside_hu)))
