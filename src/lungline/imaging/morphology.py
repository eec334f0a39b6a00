"""Shapes on a voxel grid: connected pieces, balls in millimetres, holes.

A ball is decomposed into runs along x: for every offset (dz, dy) the ball covers whole runs of half-width
w(dz, dy). So the mask is widened along x once for each width, packed to bits, and the packed rows are
joined at their offsets. The result is exactly that of the ball as a structuring element, for any spacing.
"""

from collections.abc import Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from lungline.imaging.intensity import bounding_box

Mask = NDArray[np.bool_]
Labels = NDArray[Any]  # unsigned whole numbers, 0 is background
Spacing = Sequence[float] | NDArray[np.float64]


def label_slices(mask: Mask) -> Labels:
    """Pieces of each axial slice (Z, Y, X), 4-connected in the slice, numbered through the volume; 0 is none.

    The slices are laid under one another with an empty row between, so one labelling does them all.
    """
    rows = np.zeros((mask.shape[0], mask.shape[1] + 1, mask.shape[2]), dtype=bool)
    rows[:, :-1] = mask
    labels = cc3d.connected_components(rows.reshape(-1, mask.shape[2]), connectivity=4, out_dtype=np.uint32)
    return labels.reshape(rows.shape)[:, :-1]


def label_pieces(mask: Mask) -> tuple[Labels, NDArray[Any]]:
    """Pieces in space (Z, Y, X), joined by faces, and the number of voxels of each label, 0 included."""
    labels = cc3d.connected_components(mask, connectivity=6, out_dtype=np.uint32)
    return labels, np.bincount(labels.ravel())


def touched(labels: Labels, *parts: Labels) -> Mask:
    """Table (labels.max() + 1,): which labels, other than 0, occur in the parts."""
    found = np.zeros(int(labels.max()) + 1, dtype=bool)
    for part in parts:
        found[part.ravel()] = True
    found[0] = False
    return found


def dilate(mask: Mask, radius_mm: float, spacing_zyx_mm: Spacing) -> Mask:
    """The mask and every voxel whose centre lies within `radius_mm`, or exactly there, of a centre of the mask.

    It equals `scipy.ndimage.binary_dilation` with the Euclidean ball as structuring element.
    """
    out = np.zeros_like(mask)
    if not mask.any():
        return out
    reach = _reach(radius_mm, spacing_zyx_mm)
    box = tuple(
        slice(max(0, s.start - r), min(n, s.stop + r))
        for s, r, n in zip(bounding_box(mask), reach, mask.shape, strict=True)
    )
    out[box] = _dilate_box(mask[box], radius_mm, reach, spacing_zyx_mm)
    return out


def _reach(radius_mm: float, spacing_zyx_mm: Spacing) -> list[int]:
    """Voxels of a ball's radius along each axis."""
    return [int(np.floor(radius_mm / s + 1e-9)) for s in spacing_zyx_mm]


def _dilate_box(mask: Mask, radius_mm: float, reach: Sequence[int], spacing_zyx_mm: Spacing) -> Mask:
    widths = _run_widths(radius_mm, reach, spacing_zyx_mm)
    runs = _packed_runs(mask, set(widths[widths >= 0].tolist()))
    out = np.zeros_like(runs[int(widths[0, 0])])
    for dz, row in enumerate(widths):
        plane = np.zeros_like(out)
        for dy, width in enumerate(row):
            if width >= 0:
                _join_shifted(plane, runs[int(width)], dy, axis=1)
        _join_shifted(out, plane, dz, axis=0)
    return np.unpackbits(out, axis=2, count=mask.shape[2]).view(bool)


def _run_widths(radius_mm: float, reach: Sequence[int], spacing_zyx_mm: Spacing) -> NDArray[np.int64]:
    """Half-width in voxels of the ball's run along x at offset (dz, dy) >= 0; -1 where there is none."""
    dz, dy = np.ogrid[: reach[0] + 1, : reach[1] + 1]
    room = float(radius_mm) ** 2 - (dz * spacing_zyx_mm[0]) ** 2 - (dy * spacing_zyx_mm[1]) ** 2
    room += 1e-9 * max(1.0, radius_mm**2)  # a distance of exactly the radius counts, whatever the rounding
    return np.where(room >= 0, np.floor(np.sqrt(np.maximum(room, 0)) / spacing_zyx_mm[2]), -1).astype(np.int64)


def _packed_runs(mask: Mask, widths: set[int]) -> dict[int, NDArray[np.uint8]]:
    """The mask widened along x by each of `widths`, eight voxels a byte."""
    wide = mask.copy()
    runs = {0: np.packbits(wide, axis=2)}
    for width in range(1, max(widths) + 1):
        wide[:, :, width:] |= mask[:, :, :-width]
        wide[:, :, :-width] |= mask[:, :, width:]
        if width in widths:
            runs[width] = np.packbits(wide, axis=2)
    return runs


def _join_shifted(out: NDArray[np.uint8], part: NDArray[np.uint8], shift: int, axis: int) -> None:
    """`out |= part`, moved by `shift` both ways along `axis`."""
    if shift == 0:
        out |= part
        return
    late = (slice(None),) * axis + (slice(shift, None),)
    early = (slice(None),) * axis + (slice(None, -shift),)
    out[late] |= part[early]
    out[early] |= part[late]


def erode(mask: Mask, radius_mm: float, spacing_zyx_mm: Spacing) -> Mask:
    """The voxels whose whole ball lies in the mask; what is beyond the array counts as mask."""
    return ~dilate(~mask, radius_mm, spacing_zyx_mm)


def close(mask: Mask, radius_mm: float, spacing_zyx_mm: Spacing) -> Mask:
    """The mask with every dent filled that a ball of `radius_mm` outside it cannot enter."""
    if not mask.any():
        return mask.copy()
    reach = _reach(radius_mm, spacing_zyx_mm)
    box = bounding_box(mask)
    padded = np.pad(mask[box], [(r, r) for r in reach])
    inner = tuple(slice(r, r + s.stop - s.start) for r, s in zip(reach, box, strict=True))
    out = mask.copy()
    out[box] |= erode(dilate(padded, radius_mm, spacing_zyx_mm), radius_mm, spacing_zyx_mm)[inner]
    return out


def fill_holes(mask: Mask) -> Mask:
    """The mask with all that it surrounds in at least two of the three planes.

    A hole in space is surrounded in all three; a mass that hangs on the hilum in two; the dome of the liver,
    which lung surrounds in axial slices only, in one. Where the mask reaches the first or last slice, that
    end counts as a wall, so that a nodule at the cut of a slab is filled too.
    """
    if not mask.any():
        return mask.copy()
    out = mask.copy()
    box = bounding_box(mask)
    open_ = np.pad(~mask[box], 1, constant_values=True)
    if box[0].start == 0:
        open_[0] = False
    if box[0].stop == mask.shape[0]:
        open_[-1] = False
    votes = np.zeros(open_.shape, dtype=np.uint8)
    for axis in range(3):
        labels = label_slices(np.moveaxis(open_, axis, 0))
        rim = touched(labels, labels[:, [0, -1]], labels[:, :, [0, -1]])
        votes += np.moveaxis(~rim[labels], 0, axis)
    out[box] |= votes[1:-1, 1:-1, 1:-1] >= 2
    return out
