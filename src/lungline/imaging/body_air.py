"""Which air of a chest CT lies inside the body, and which of that is plain gas.

All of it is decided on blocks of about 2 mm: the mean of a block carries a third of a voxel's noise, and
there is an eighth of the work. Walls that matter here (chest wall, windpipe) are thicker than a block.
"""

from dataclasses import dataclass

import cc3d
import numpy as np
from numpy.typing import NDArray

from lungline.imaging.morphology import Labels, Mask, dilate, label_pieces, label_slices, touched

BLOCK_MM = 2.0

#: Typical HU of the most emphysematous lung; what is darker is gas.
DARKEST_LUNG_HU = -970.0
#: Above this share of the air in the body, gas must be darker than any lung: one bright and one dark lung stay two.
_LARGEST_GAS_SHARE = 0.2
#: Share of a gas bubble's shell (2..4 mm away) that must be wall rather than lung. Windpipe, stomach and
#: bowel of the sample scans: 0.46..0.98; dark regions of lung, emphysema included: 0.00..0.32.
_WALLED_SHARE = 0.42
#: A shell voxel is wall if it is this much above the typical lung.
_WALL_ABOVE_LUNG_HU = 250.0
_SMALLEST_GAS_BLOCKS = 8
_MOST_GAS_BUBBLES = 60

#: Air has this much body before and behind it, or it is not in the body.
_WALL_MM = 5.0
_TISSUE_HU = -200.0
_PADDING_HU = -1023.0
#: Air that the edge of the picture cuts, or that a gap joins to the room, is lung if it looks like this in a slice.
_LUNG_AT_EDGE_HU = (-950.0, -500.0)
_LUNG_AT_EDGE_MM2 = 400.0
#: The room is darker than this.
_ROOM_HU = -950.0
#: A piece of air is open to the room if this share of it, at least, is room; a block at a disc's edge may look so.
_ROOM_SHARE = 0.1


@dataclass(frozen=True)
class Blocks:
    """A volume averaged over small blocks."""

    mean_hu: NDArray[np.float32]  # (Z, Y, X)
    edge: tuple[int, int, int]  # voxels a block along z, y, x
    spacing_zyx_mm: tuple[float, float, float]  # of the blocks

    @property
    def section_mm2(self) -> float:
        """Area of a block in its axial slice."""
        return self.spacing_zyx_mm[1] * self.spacing_zyx_mm[2]

    def to_voxels(self, mask: Mask, shape_zyx: tuple[int, ...]) -> Mask:
        """A mask of blocks on the voxels they were made of; voxels left over at the end join the last block."""
        for axis, (edge, n) in enumerate(zip(self.edge, shape_zyx, strict=True)):
            mask = mask.take(np.minimum(np.arange(n) // edge, mask.shape[axis] - 1), axis=axis)
        return mask


def average_blocks(ct_hu: NDArray, spacing_zyx_mm: NDArray[np.float64], block_mm: float = BLOCK_MM) -> Blocks:
    """Means over blocks of about `block_mm`; voxels that fill no whole block at the end are left out."""
    edge = [max(1, min(n, round(block_mm / s))) for n, s in zip(ct_hu.shape, spacing_zyx_mm, strict=True)]
    mean = ct_hu
    for axis, step in enumerate(edge):
        whole = mean.shape[axis] // step * step
        parts = [mean[(slice(None),) * axis + (slice(first, whole, step),)] for first in range(step)]
        mean = sum(parts[1:], parts[0]) / np.float32(step)
    spacing = [s * e for s, e in zip(spacing_zyx_mm, edge, strict=True)]
    return Blocks(mean.astype(np.float32), tuple(edge), tuple(spacing))


def air_in_body(blocks: Blocks, threshold_hu: float) -> tuple[Mask, Mask, Mask]:
    """Air in the body; what of it looks like lung and the picture's edge cuts, and what a gap joins to the room.

    Three masks of blocks. Air is in the body if that surrounds it in its axial slice: in space the windpipe and cut
    ends open to the room. Where a piece joins the room through a gap in the chest wall, the room is taken away and
    what is left is judged.
    """
    # Outside a disc-shaped picture every slice holds the same padding, clamped at ingest.
    padding = blocks.mean_hu.max(axis=0) <= _PADDING_HU
    beyond = np.pad(padding, 1, constant_values=True)
    rim = beyond[:-2, 1:-1] | beyond[2:, 1:-1] | beyond[1:-1, :-2] | beyond[1:-1, 2:]  # outermost places of the picture
    wall = _wall(blocks)
    air = (blocks.mean_hu < threshold_hu) & ~padding
    # the room is dark, joined to the edge of the picture, with no body before or behind most of it
    dark = label_slices(air & (blocks.mean_hu < _ROOM_HU))
    room = (touched(dark, dark[:, rim]) & (_measure_pieces(blocks, dark, wall)[2] < _WALL_MM))[dark]

    def judged(labels: Labels) -> tuple[Mask, Mask, Mask]:
        """Of each label: touches the edge, lies within walls, looks like lung of some size."""
        count, mean_hu, wall_mm = _measure_pieces(blocks, labels, wall)
        like_lung = (mean_hu > _LUNG_AT_EDGE_HU[0]) & (mean_hu < _LUNG_AT_EDGE_HU[1])
        like_lung &= count * blocks.section_mm2 >= _LUNG_AT_EDGE_MM2
        return touched(labels, labels[:, rim]), wall_mm >= _WALL_MM, like_lung

    labels = label_slices(air)
    at_edge, walled, like_lung = judged(labels)
    sizes, dark_sizes = (np.bincount(part, minlength=at_edge.size) for part in (labels.ravel(), labels[room]))
    open_ = at_edge & (dark_sizes > _ROOM_SHARE * sizes)
    inside = walled & ~at_edge
    inside[0] = False
    cut = (at_edge & ~open_ & walled & like_lung)[labels]
    parts = label_slices(open_[labels] & ~room)
    at_edge, walled, like_lung = judged(parts)
    leak = (walled & ~at_edge & like_lung)[parts]
    return inside[labels] | cut | leak, cut, leak


def _wall(blocks: Blocks) -> NDArray[np.int16]:
    """Number of blocks of body before or behind each block (Z, Y, X), whichever is less.

    The body is the largest piece of tissue: the table is not part of it, so the foam in a table has no wall.
    """
    tissue, sizes = label_pieces(blocks.mean_hu > _TISSUE_HU)
    sizes[0] = 0
    before = np.cumsum((tissue == np.argmax(sizes)) & (tissue > 0), axis=1, dtype=np.int16)
    return np.minimum(before, before[:, -1:] - before)


def _measure_pieces(
    blocks: Blocks, labels: Labels, wall: NDArray[np.int16]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each label: number of blocks, mean HU, and mm of body before or behind, whichever is less, on average."""
    air = labels > 0
    index = labels[air]
    count = np.bincount(index, minlength=int(labels.max()) + 1)
    mean_hu, mean_wall = (
        np.bincount(index, values[air], minlength=count.size) / np.maximum(count, 1)
        for values in (blocks.mean_hu, wall)
    )
    return count, mean_hu, mean_wall * blocks.spacing_zyx_mm[1]


def gas_in_body(blocks: Blocks, air: Mask) -> Mask:
    """Windpipe, main bronchi, stomach and bowel, with their blurred rim, of the blocks of `air` in the body.

    They are dark, even, and bounded by a wall: a dark region inside the lung has lung around it, a windpipe has not.
    "Dark" is half way between the typical lung of this scan and air at -1000 HU, so that an emphysematous lung or a
    scanner that is off by some HU does not turn into gas.
    """
    if not air.any():
        return air
    pieces, counts = label_pieces(air)
    lung_hu = float(np.median(blocks.mean_hu[pieces == 1 + np.argmax(counts[1:])]))  # typical of this scan
    dark = air & (blocks.mean_hu < (lung_hu - 1000.0) / 2)
    labels, counts = label_pieces(dark)
    boxes = cc3d.statistics(labels)["bounding_boxes"]
    largest = _LARGEST_GAS_SHARE * np.count_nonzero(air)
    gas = np.zeros_like(air)
    for label in 1 + np.argsort(-counts[1:], kind="stable")[:_MOST_GAS_BUBBLES]:
        if counts[label] < _SMALLEST_GAS_BLOCKS:
            continue
        box = tuple(slice(max(0, s.start - 3), s.stop + 3) for s in boxes[label])
        bubble = labels[box] == label
        if counts[label] > largest and np.median(blocks.mean_hu[box][bubble]) >= DARKEST_LUNG_HU:
            continue
        wide = dilate(bubble, 2 * BLOCK_MM, blocks.spacing_zyx_mm)
        shell = wide & ~dilate(bubble, BLOCK_MM, blocks.spacing_zyx_mm)
        if np.mean(blocks.mean_hu[box][shell] > lung_hu + _WALL_ABOVE_LUNG_HU) >= _WALLED_SHARE:
            gas[box] |= wide & air[box]
    return gas
