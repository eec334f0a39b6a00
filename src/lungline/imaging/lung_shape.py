"""What is missing from a lung, told by its shape.

The mask of the lungs is air and what air encloses. A large tumour at the chest wall, consolidation or fluid is neither:
it is taken for chest wall. So each lung is compared with the other one, mirrored, and with the convex outline of both,
on blocks of about 4 mm, and what is missing is searched like lung. Heart, aorta and hilum are left out, and so is as
much as the two domes of a healthy diaphragm differ by.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.body_air import average_blocks
from lungline.imaging.geometry import Affine, voxel_to_world
from lungline.imaging.intensity import bounding_box
from lungline.imaging.lungs import ONE_LUNG_SHARE, middle_column
from lungline.imaging.morphology import Mask, Spacing, dilate, erode, label_pieces

Side = Literal["left", "right"]
_SIDES: tuple[Side, Side] = ("left", "right")

#: Smaller parts are not told, of a child in proportion: lungs of healthy chests differ by less than 5 ml, of patients
#: who lie turned by 6 degrees by up to 28.
SMALLEST_ML = 15.0
_BLOCK_MM = 4.0
#: The lengths below are those of adults, whose lungs are together at least so wide; children have shorter ones.
_ADULT_WIDTH_MM = 200.0
_SMALLEST_SCALE = 0.55  # for smaller ones, blocks are too coarse
#: Half the thickness by which two healthy lungs differ; the second where no lung of that side lies below.
_THIN_MM, _THIN_AT_BASE_MM = 9.0, 24.0
#: Nearer to the midline lie aorta and hilum; farther than the second distance, the outline of the lungs is the ribs.
_MIDDLE_MM, _RIBS_MM = 36.0, 45.0
#: Lung on the level of a missing part, or below it, is at most so far beside it.
_BESIDE_MM = 12.0
#: As far around a missing part, within the convex outline of the lungs, counts as missing: a tumour reaches beyond what
#: the comparison shows, towards the midline above all.
_RIM_MM = 5.0
#: Shares of the lungs' depth from behind, and of their height from above, that are free of the heart.
_BEHIND_HEART, _ABOVE_HEART = 0.4, 0.4
_DIRECTIONS = 48  # of the tangents to a convex outline
_PAD = 10  # blocks around the lungs: what is missing may lie outside their box
_FAR_MM = 1e6  # between slices that shall not touch


@dataclass(frozen=True)
class MissingPart:
    """A place where a lung should be and is not."""

    side: Side  # of the patient
    volume_ml: float
    centre_zyx: tuple[float, float, float]  # voxel index on the grid of the lungs


def missing_parts(lungs: Mask, spacing_zyx_mm: Spacing) -> tuple[list[MissingPart], Mask]:
    """Parts that are missing from lungs (Z, Y, X) in LPS order, from `SMALLEST_ML` on, the largest first; and where.

    The second is a mask (Z, Y, X) of these parts with a rim around them. A child's are told from less on, in
    proportion. None where there is one lung only: nothing tells how large the other was. Nor where no slice shows both.
    """
    box = bounding_box(lungs)
    blocks = average_blocks(lungs[box].view(np.uint8), np.asarray(spacing_zyx_mm, dtype=np.float64), _BLOCK_MM)
    seen = np.pad(blocks.mean_hu >= 0.5, _PAD)
    columns = np.arange(seen.shape[2])
    right = seen & (columns < _PAD + middle_column(seen[:, :, _PAD:-_PAD]))
    left = seen & ~right
    one_lung = min(np.count_nonzero(left), np.count_nonzero(right)) < ONE_LUNG_SHARE * np.count_nonzero(seen)
    if one_lung or not _show_both(left, right).any():
        return [], np.zeros_like(lungs)
    first = np.array([s.start for s in box]) - _PAD * np.array(blocks.edge)
    midline, width = _midline_and_width(left, right)
    scale = float(np.clip(width * blocks.spacing_zyx_mm[2] / _ADULT_WIDTH_MM, _SMALLEST_SCALE, 1.0))
    both = _missing_of_both(left, right, midline, scale, blocks.spacing_zyx_mm)
    found: list[MissingPart] = []
    place = np.zeros_like(seen)
    for side, missing in zip(_SIDES, both, strict=True):
        labels, counts = label_pieces(missing)
        for label in range(1, counts.size):
            volume_ml = float(counts[label] * np.prod(blocks.spacing_zyx_mm)) / 1000
            if volume_ml >= SMALLEST_ML * scale**3:
                centre = (np.argwhere(labels == label).mean(axis=0) + 0.5) * blocks.edge + first - 0.5
                found.append(MissingPart(side, volume_ml, tuple(centre.tolist())))
                place |= labels == label
    place |= dilate(place, _RIM_MM * scale, blocks.spacing_zyx_mm) & _convex_slices(seen)
    found.sort(key=lambda part: -part.volume_ml)
    return found, _to_voxels(place, blocks.edge, first, lungs.shape)


def judge_shape(parts: Sequence[MissingPart], affine: Affine) -> list[tuple[str, str]]:
    """Warnings about missing parts, as (flag, detail): what is missing in all, and where each part lies, LPS."""
    if not parts:
        return []
    places = []
    for part in parts:
        x, y, z = np.round(voxel_to_world(affine, part.centre_zyx)).astype(int).tolist()
        places.append(f"about {part.volume_ml:.0f} ml of the {part.side} lung around x {x}, y {y}, z {z} mm")
    return [("W_LUNG_MISSING", "; ".join(places))]


def _to_voxels(mask: Mask, edge: Sequence[int], first: NDArray[np.int64], shape_zyx: tuple[int, ...]) -> Mask:
    """A mask of blocks of `edge` voxels, of which the first begins at voxel `first`, on a grid of voxels."""
    mask = np.pad(mask, 1)
    for axis, (step, start, size) in enumerate(zip(edge, first, shape_zyx, strict=True)):
        block = 1 + (np.arange(size) - start) // step
        mask = mask.take(np.clip(block, 0, mask.shape[axis] - 1), axis=axis)
    return mask


def _missing_of_both(
    left: Mask, right: Mask, midline: float, scale: float, spacing: tuple[float, float, float]
) -> list[Mask]:
    """Blocks that are missing from the left and from the right lung; `scale` is 1 for an adult, less for a child."""
    seen = left | right
    off_mm = (np.arange(seen.shape[2]) - midline) * spacing[2] / scale  # to the patient's left
    outline = _convex_slices(seen) & ~seen
    free = _free_of_heart(seen)
    lacking = [np.count_nonzero(_mirrored(other, midline) & ~seen & ~free) for other in (right, left)]
    out = []
    for own, other, towards in ((left, right, 1), (right, left, -1)):
        mirrored = _mirrored(other, midline) & ~seen & (towards * off_mm > _MIDDLE_MM)
        if towards == 1 or lacking[1] > lacking[0]:  # the heart may lie on the right
            mirrored &= free
        further_out = np.maximum.accumulate(own[:, :, ::-towards], axis=2)[:, :, ::-towards]
        at_ribs = outline & ~further_out & (towards * off_mm > _RIBS_MM)
        above_lung = np.maximum.accumulate(dilate(own, _BESIDE_MM * scale, (_FAR_MM, *spacing[1:])), axis=0)
        missing = _without_thin((mirrored | at_ribs) & above_lung, _THIN_MM * scale, spacing)
        out.append(missing | _without_thin(mirrored, _THIN_AT_BASE_MM * scale, spacing))
    return out


def _show_both(left: Mask, right: Mask) -> Mask:
    """Which axial slices show both lungs."""
    return _shadow(_shadow(left), axis=1) & _shadow(_shadow(right), axis=1)


def _midline_and_width(left: Mask, right: Mask) -> tuple[float, int]:
    """Column half way between the outer ends of both lungs, and how many columns they take at most.

    It is the median of the slices that show both, so that a part which is missing from some does not move it.
    """
    first, last = _ends(_shadow((left | right)[_show_both(left, right)], axis=1))
    return float(np.median(first + last)) / 2, int((last - first).max()) + 1


def _shadow(mask: Mask, axis: int = 2) -> Mask:
    """Where the mask has anything along an axis."""
    found: Mask = np.logical_or.reduce(mask, axis=axis)
    return found


def _ends(mask: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last place of the mask along its last axis; 0 and the end where there is none."""
    return np.argmax(mask, axis=-1), mask.shape[-1] - 1 - np.argmax(mask[..., ::-1], axis=-1)


def _mirrored(mask: Mask, midline: float) -> Mask:
    """The mask turned left to right about a column."""
    source = np.rint(2 * midline - np.arange(mask.shape[2])).astype(np.int64)
    inside = (source >= 0) & (source < mask.shape[2])
    return mask[:, :, np.where(inside, source, 0)] & inside


def _free_of_heart(seen: Mask) -> Mask:
    """Where no lung is indented by the heart: behind it, and above it."""
    rows = _shadow(seen)
    depth, slices = np.ptp(np.flatnonzero(rows.any(axis=0))), np.flatnonzero(rows.any(axis=1))
    back = _ends(rows)[1]
    behind = np.arange(rows.shape[1]) > (back - _BEHIND_HEART * depth)[:, None]
    above = np.arange(len(rows)) > slices[-1] - _ABOVE_HEART * np.ptp(slices)
    free: Mask = (behind | above[:, None])[:, :, None]
    return free


def _convex_slices(mask: Mask) -> Mask:
    """The convex outline of each axial slice, filled."""
    rows = _shadow(mask)
    first, last = _ends(mask)
    y = np.arange(mask.shape[1])
    left_end, right_end = np.full(rows.shape, -np.inf), np.full(rows.shape, np.inf)
    for angle in (np.arange(_DIRECTIONS) + 0.5) * 2 * np.pi / _DIRECTIONS:  # no tangent runs along the rows
        along_x, along_y = np.cos(angle), np.sin(angle)
        reach = np.where(rows, np.where(along_x > 0, last, first) * along_x + y * along_y, -np.inf).max(axis=1)
        end = (reach[:, None] - y * along_y) / along_x
        if along_x > 0:
            right_end = np.minimum(right_end, end)
        else:
            left_end = np.maximum(left_end, end)
    x = np.arange(mask.shape[2])
    filled = (x >= left_end[:, :, None] - 1e-6) & (x <= right_end[:, :, None] + 1e-6)
    return filled & _shadow(rows, axis=1)[:, None, None]


def _without_thin(mask: Mask, radius_mm: float, spacing: tuple[float, float, float]) -> Mask:
    """The mask without what a ball of this radius does not fit into."""
    return dilate(erode(mask, radius_mm, spacing), radius_mm, spacing) & mask
