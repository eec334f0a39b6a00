"""The outline of a nodule on the grid of its scan, where pixels are finer than the label map.

The label map says which tissue the nodule is. Its border is drawn where HU are half way between nodule and lung, there
blur moves it neither in nor out, but at most `REACH_MM` from the label map's own: so a nodule on a wall ends where the
label map says. What is thin beside the nodule, as a vessel that the label map took in, is cut off. Its volume stays
that of the label map, which segmentation and classifier read.
"""

import numpy as np
from numpy.typing import NDArray

from lungline.imaging import geometry
from lungline.imaging.volume import Volume

#: How far the border may lie from that of the label map, mm.
REACH_MM = 1.0
_FAR_MM = 2.0  # tissue from here on is another's, and so is what lies as near to it
_AROUND_MM = 5.0  # how far lung is looked for
_LUNG_HU, _TYPICAL_LUNG_HU = -600.0, -860.0
_LEAST_VOXELS, _LEAST_CONTRAST_HU = 10, 100.0
_BLUR_MM = 0.5  # against noise, which would widen the faintest nodules
#: Parts thinner than this share of the nodule are cut off (chosen on implanted nodules that test nothing).
_THIN_SHARE, _SLACK_MM, _LEFT_MM = 0.35, 0.75, 0.3
_STEEP_MM = 4.0  # depth that the whole contrast stands for: steeper than the distance that limits it


def margin(spacing_zyx_mm: NDArray[np.float64]) -> NDArray[np.int64]:
    """Voxels around a nodule's box that `outline` wants to see."""
    return np.ceil((_AROUND_MM + 1) / spacing_zyx_mm).astype(np.int64)


def outline(scan: Volume, label: Volume) -> Volume:
    """How deep each voxel of `scan` (HU) lies in a nodule, about mm, 0 at the border: float64 on the grid of `scan`.

    `label` (bool, not empty) is the nodule on its own grid, a voxel wider on all sides.
    """
    from scipy import ndimage

    hu, spacing = scan.array.astype(np.float64), scan.spacing_zyx_mm
    depth = _depth_on(scan, label)
    core = depth > 0.5 if np.count_nonzero(depth > 0.5) >= _LEAST_VOXELS else depth > 0
    if not core.any():  # it lies between two slices
        return scan.with_array(depth)
    around = hu[(depth < -REACH_MM) & (depth > -_AROUND_MM) & (hu < _LUNG_HU)]
    lung_hu = float(np.median(around)) if around.size >= _LEAST_VOXELS else _TYPICAL_LUNG_HU
    core_hu = float(np.median(hu[core]))
    above = ndimage.gaussian_filter(hu, [0, *(_BLUR_MM / spacing[1:])]) - (core_hu + lung_hu) / 2
    others = (above >= 0) & (depth < -_FAR_MM)
    free = ndimage.distance_transform_edt(~others, spacing) > _FAR_MM if others.any() else np.ones_like(others)
    found = np.clip(
        above * _STEEP_MM / max(core_hu - lung_hu, _LEAST_CONTRAST_HU),
        depth - REACH_MM,
        depth + np.where(free, REACH_MM, 0.0),
    )
    return scan.with_array(_without_thin_parts(largest_part(found, depth > 0), spacing))


def _without_thin_parts(depth: NDArray[np.float64], spacing_zyx_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """The depth, without what a ball of `_THIN_SHARE` of the deepest, within the nodule, does not reach by `_SLACK_MM`.

    Where anything is, it is cut off `_LEFT_MM` from where the ball reaches; else the border stays where it is.
    """
    from scipy import ndimage

    within = ndimage.distance_transform_edt(depth > 0, spacing_zyx_mm)
    radius = _THIN_SHARE * within.max()
    if not radius:
        return depth
    inner = largest_part(np.where(within > radius, 1.0, -1.0), depth > 0) > 0
    beyond = ndimage.distance_transform_edt(~inner, spacing_zyx_mm) - radius
    if not ((depth > 0) & (beyond > _SLACK_MM)).any():
        return depth
    return largest_part(np.minimum(depth, _LEFT_MM - beyond), inner)


def largest_part(depth: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The depth (Z, Y, X), with less than 0 in all parts of more than 0 but the one with most voxels of `counted`."""
    from scipy import ndimage

    parts, count = ndimage.label(depth > 0, np.ones((3, 3, 3)))
    if count < 2:
        return depth
    largest = 1 + int(np.argmax(np.bincount(parts[counted], minlength=count + 1)[1:]))
    return np.where((parts > 0) & (parts != largest), -1e-6, depth)


def _depth_on(scan: Volume, label: Volume) -> NDArray[np.float64]:
    """Distance of each voxel of `scan` from the label's border, mm: more than 0 inside."""
    from scipy import ndimage

    spacing = label.spacing_zyx_mm
    inwards, outwards = (ndimage.distance_transform_edt(part, spacing) for part in (label.array, ~label.array))
    depth = np.where(label.array, inwards - spacing.min() / 2, spacing.min() / 2 - outwards)
    to_label = np.linalg.inv(label.affine) @ scan.affine
    index = np.moveaxis(geometry.voxel_to_world(to_label, np.moveaxis(np.indices(scan.shape_zyx), 0, -1)), -1, 0)
    within = np.clip(index, 0, np.array(label.shape_zyx).reshape(3, 1, 1, 1) - 1)
    beyond = np.sqrt(np.tensordot(spacing**2, (index - within) ** 2, axes=1))
    return np.asarray(ndimage.map_coordinates(depth, within, order=1) - beyond)
