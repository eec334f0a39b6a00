"""Lung masks (paper, section 3).

The paper takes the largest connected region below -320 HU. Read literally, that is the air around the
patient. So here the air inside the body is found first, gas (windpipe, stomach, bowel) is told from lung by
what surrounds it, the lungs are the largest pieces that remain, and what they enclose (vessels, nodules) or
nearly enclose (nodules at the pleura) is filled in. The 5 mm margin is added last.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.imaging.body_air import DARKEST_LUNG_HU, Blocks, air_in_body, average_blocks, gas_in_body
from lungline.imaging.intensity import bounding_box
from lungline.imaging.morphology import Mask, close, dilate, erode, fill_holes, label_pieces
from lungline.imaging.volume import Volume

THRESHOLD_HU = -320.0
MARGIN_MM = 5.0
PLAUSIBLE_ML = (1000.0, 9000.0)
_POSSIBLE_ML = (20.0, 12000.0)

#: The darkest lungs, of severe emphysema, are still brighter than this; what lies between is used with a warning.
_SURELY_GAS_HU = -985.0
#: The lungs in a label map, as lungmask numbers them.
RIGHT, LEFT = 1, 2
#: Dents up to twice this wide are filled: vessels at the hilum, nodules at the pleura.
_CLOSING_MM = 10.0
#: A piece counts as lung from this share of the largest piece on ...
_SMALLEST_SHARE = 0.05
#: ... and, below this share, only if it reaches up to the largest piece's middle: bowel does not.
_SURELY_LUNG_SHARE = 0.25
#: The lesser lung's share of both, below which the scan is said to hold one lung.
ONE_LUNG_SHARE = 0.1
#: Two lungs show as two hills of the mask's projection on the left-right axis, with a valley this deep.
_VALLEY = 0.6
#: Share of the mask that is not air: 0.01..0.05 in sample scans and phantoms, 0.065 with consolidation in both lungs.
_DENSE_SHARE = 0.06
_CUT_AREA_MM2 = 2000.0
_LEAK_AREA_MM2 = 400.0
#: Share of the mask, in blocks, that is darker than lung: 0 to 0.04 in the sample scans.
_GAS_SHARE = 0.25
#: Share of the largest axial section at the first or last slice, from which on the scan is a slab.
_OPEN_END_SHARE = 0.25


@dataclass(frozen=True)
class LungQuality:
    """Numbers that tell a good lung mask from a bad one."""

    volume_ml: float  # of the filled mask without margin
    left_ml: float  # the patient's left
    right_ml: float
    median_hu: float  # typical lung, -950..-700 in most people
    dense_share: float  # of the mask above the threshold: vessels, nodules, consolidation
    lower_end_share: float  # first slice's lung section over the largest: above 0 where the lungs are cut
    upper_end_share: float  # the same of the last slice
    cut_area_mm2: float  # lung that touches the edge of the picture, over all slices
    leak_area_mm2: float  # lung that a gap in the chest wall joins to the room, over all slices
    gas_share: float  # of the lungs, in blocks, that is darker than any lung: stomach, bowel, pneumothorax

    def as_json(self) -> dict[str, Any]:
        return {name: round(value, 3) for name, value in asdict(self).items()}


def segment_lungs(ct: Volume, *, threshold_hu: float = THRESHOLD_HU) -> tuple[Mask, LungQuality]:
    """Both lungs, filled, without margin (paper section 3; the order of the steps is ours).

    `ct` is HU as floats in LPS order, of about 1 mm spacing; air and lung lie below the threshold. `Quarantine`
    `Q_LUNGS_EMPTY` if there is no lung.
    """
    blocks = average_blocks(ct.array, ct.spacing_zyx_mm)
    air, cut, leak = air_in_body(blocks, threshold_hu)
    gas = gas_in_body(blocks, air)
    pieces = _largest_pieces(air & ~gas, blocks)
    # the blocks around those of the lungs hold the lungs' rim
    near = dilate(pieces, 2 * max(blocks.spacing_zyx_mm), blocks.spacing_zyx_mm) & ~(air & ~pieces)
    found = blocks.to_voxels(near, ct.shape_zyx) & (ct.array < threshold_hu)
    if not found.any():
        raise Quarantine("Q_LUNGS_EMPTY", "no air inside a body")
    if (typical := float(np.median(ct.array[found]))) < _SURELY_GAS_HU:
        raise Quarantine("Q_LUNGS_EMPTY", f"the air inside the body is gas, not lung: {typical:.0f} HU")
    lungs = _fill_each_side(found, ct)
    return lungs, LungQuality(
        **_measure(ct, lungs, threshold_hu),
        cut_area_mm2=float(np.count_nonzero(cut) * blocks.section_mm2),
        leak_area_mm2=float(np.count_nonzero(leak & pieces) * blocks.section_mm2),
        gas_share=float(np.mean(blocks.mean_hu[pieces] < DARKEST_LUNG_HU)),
    )


def measure_quality(ct: Volume, lungs: Mask, *, threshold_hu: float = THRESHOLD_HU) -> LungQuality:
    """Of lungs that were not found here, but given; what can only be told while they are found is 0.

    `Quarantine` `Q_LUNGS_EMPTY` if there is no voxel.
    """
    if not lungs.any():
        raise Quarantine("Q_LUNGS_EMPTY", "the given mask has no voxel on this grid")
    return LungQuality(**_measure(ct, lungs, threshold_hu), cut_area_mm2=0.0, leak_area_mm2=0.0, gas_share=0.0)


def add_margin(lungs: Mask, ct: Volume, margin_mm: float = MARGIN_MM) -> Mask:
    """The lungs and all within `margin_mm` of them (paper: 5 mm in all directions)."""
    return dilate(lungs, margin_mm, ct.spacing_zyx_mm)


def _largest_pieces(candidates: Mask, blocks: Blocks) -> Mask:
    """The largest piece and those that can be the other lung; bridges thinner than two blocks part pieces."""
    cores = erode(candidates, max(blocks.spacing_zyx_mm), blocks.spacing_zyx_mm)
    if not cores.any():
        return cores
    labels, counts = label_pieces(cores)
    counts[0] = 0
    main = int(np.argmax(counts))
    middle = np.median(np.flatnonzero((labels == main).any(axis=(1, 2))))
    chosen = counts >= _SURELY_LUNG_SHARE * counts[main]
    for label in np.flatnonzero((counts >= _SMALLEST_SHARE * counts[main]) & ~chosen):
        chosen[label] = np.flatnonzero((labels == label).any(axis=(1, 2)))[-1] >= middle
    return dilate(chosen[labels], 2 * max(blocks.spacing_zyx_mm), blocks.spacing_zyx_mm) & candidates


def _fill_each_side(found: Mask, ct: Volume) -> Mask:
    """Dents and holes filled in each lung alone, so that the space between the lungs is not a hole."""
    box = bounding_box(found)
    inside = found[box]
    middle = middle_column(inside)
    filled = inside.copy()
    for side in (slice(None, middle), slice(middle, None)):
        filled[:, :, side] |= fill_holes(close(inside[:, :, side], _CLOSING_MM, ct.spacing_zyx_mm))
    out = np.zeros_like(found)
    out[box] = filled
    return out


def middle_column(lungs: Mask) -> int:
    """Column x between the lungs: the valley of the mask's projection; the array's end if there is none."""
    hills = np.count_nonzero(lungs, axis=(0, 1)).astype(np.float64)
    to_the_left = np.maximum.accumulate(hills[::-1])[::-1]
    lower_hill = np.minimum(np.maximum.accumulate(hills), to_the_left)
    depth = hills / np.maximum(lower_hill, 1)
    deepest = int(np.argmin(depth))
    return deepest if depth[deepest] < _VALLEY else lungs.shape[2]


def _measure(ct: Volume, lungs: Mask, threshold_hu: float) -> dict[str, float]:
    """Quality measures of a lung mask."""
    box = bounding_box(lungs)
    inside, values = lungs[box], ct.array[box][lungs[box]]
    voxel_ml = float(np.prod(ct.spacing_zyx_mm)) / 1000
    columns, middle = np.count_nonzero(inside, axis=(0, 1)), _first_left_column(inside, box[2].start, lungs.shape[2])
    sections = np.count_nonzero(lungs, axis=(1, 2))
    return {
        "volume_ml": int(columns.sum()) * voxel_ml,
        "left_ml": int(columns[middle:].sum()) * voxel_ml,
        "right_ml": int(columns[:middle].sum()) * voxel_ml,
        "median_hu": float(np.median(values)),
        "dense_share": float(np.mean(values >= threshold_hu)),
        "lower_end_share": float(sections[0] / sections.max()),
        "upper_end_share": float(sections[-1] / sections.max()),
    }


def number_sides(lungs: Mask) -> NDArray[np.uint8]:
    """1 in the right lung, 2 in the left lung (the patient's), 0 elsewhere; (Z, Y, X) like `lungs`, not empty."""
    box = bounding_box(lungs)
    middle = box[2].start + _first_left_column(lungs[box], box[2].start, lungs.shape[2])
    number_of = np.where(np.arange(lungs.shape[2]) < middle, RIGHT, LEFT).astype(np.uint8)
    return np.where(lungs, number_of, np.uint8(0))


def _first_left_column(inside: Mask, first: int, width: int) -> int:
    """Column from which on the box `inside` around both lungs holds the left one; the others as in `side_of_all`."""
    middle = middle_column(inside)
    return 0 if middle == inside.shape[2] and side_of_all(inside, first, width) == "left" else middle


def side_of_all(lungs: Mask, first: int, width: int) -> Literal["left", "right"]:
    """The patient's side of one lung, or of two that nothing parts, in columns from `first` on of a scan's `width`."""
    columns = np.count_nonzero(lungs, axis=(0, 1))
    centre = first + float(columns @ np.arange(columns.size)) / columns.sum()
    return "right" if centre < width / 2 else "left"


def judge(quality: LungQuality, plausible_ml: tuple[float, float] = PLAUSIBLE_ML) -> list[tuple[str, str]]:
    """Warnings about a lung mask, as (flag, detail).

    `Quarantine` `Q_LUNG_VOLUME` if no person's lungs, nor a slab of them, have this volume.
    """
    q = quality
    if not _POSSIBLE_ML[0] <= q.volume_ml <= _POSSIBLE_ML[1]:
        raise Quarantine("Q_LUNG_VOLUME", f"{q.volume_ml:.0f} ml")
    found = []
    if max(q.lower_end_share, q.upper_end_share) >= _OPEN_END_SHARE:  # a slab
        found.append(("W_LUNG_SLAB", f"cut at {q.lower_end_share:.2f} below, {q.upper_end_share:.2f} above"))
    elif not plausible_ml[0] <= q.volume_ml <= plausible_ml[1]:
        found.append(("W_LUNG_VOLUME", f"{q.volume_ml:.0f} ml"))
    if min(q.left_ml, q.right_ml) < ONE_LUNG_SHARE * q.volume_ml:
        found.append(("W_ONE_LUNG", f"left {q.left_ml:.0f} ml, right {q.right_ml:.0f} ml"))
    if q.cut_area_mm2 >= _CUT_AREA_MM2:
        found.append(("W_LUNG_CUT", f"{q.cut_area_mm2:.0f} mm2 at the edge of the picture"))
    if q.leak_area_mm2 >= _LEAK_AREA_MM2:
        found.append(("W_LUNG_LEAK", f"{q.leak_area_mm2:.0f} mm2 of lung beside a gap in the chest wall"))
    if q.gas_share >= _GAS_SHARE:
        found.append(("W_LUNG_GAS", f"{q.gas_share:.2f} of the mask is darker than {DARKEST_LUNG_HU:.0f} HU"))
    if q.dense_share >= _DENSE_SHARE:
        found.append(("W_LUNG_DENSE", f"{q.dense_share:.2f} of the mask is not air"))
    return found
