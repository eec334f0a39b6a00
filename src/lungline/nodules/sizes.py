"""Sizes of a nodule by the rules of the field, of its voxels in a label map and its outline in the scan.

Long axis, and the longest axis perpendicular to it in the same axial slice, of the slice in which the long axis is
longest (Bankier et al., Radiology 285, 2017, 584); their mean is the diameter that Lung-RADS and the Fleischner Society
class by. The solid part of a part-solid nodule is measured the same way.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.geometry import Affine
from lungline.imaging.intensity import bounding_box
from lungline.imaging.volume import Volume
from lungline.nodules.outlines import largest_part, outline

#: Voxels of the nodule of this density or denser are its solid part: half way between ground glass and soft tissue, so
#: that blur moves the border of the solid part neither in nor out.
SOLID_PART_HU = -300
PERCENTILES = (5, 25, 50, 75, 95)
#: Blur of a slice's mask, pixels, before its border is drawn: the border of voxels has steps, and the longest of all
#: lines across would run from one outward step to another.
_BLUR = 0.9
_MARGIN = 4  # pixels around the mask, so that its blur ends in zero
_MOST_OUTWARD = 0.5  # pixels
_LEAST_DEPTH = 0.05  # mm; a slice that is nowhere deeper shows too little of the nodule to measure
_HU_A_MM = 250.0  # that HU rise at a border, about


def rounded(value: float, digits: int) -> float:
    """A number rounded as people do: halves go up. Noise of the arithmetic, beyond six digits, is dropped first."""
    step = Decimal(1).scaleb(-digits)
    return float(Decimal(str(round(value, 6))).quantize(step, ROUND_HALF_UP))


def mean_of_axes(long_mm: float, short_mm: float) -> float:
    """Mean diameter of two axes that are each rounded to one decimal, mm, as Lung-RADS v2022 wants it."""
    return (rounded(long_mm, 1) + rounded(short_mm, 1)) / 2


@dataclass(frozen=True)
class Axes:
    """The two axes of a nodule in one axial slice, mm, and where they end, (2, 3) world points each (x, y, z), LPS."""

    long_mm: float
    short_mm: float
    slice_index: int  # of the array's first axis
    long_ends_xyz_mm: NDArray[np.float64]
    short_ends_xyz_mm: NDArray[np.float64]

    @property
    def mean_mm(self) -> float:
        """Mean diameter to one decimal, of axes of one decimal, as Lung-RADS v2022 gives it."""
        return rounded(mean_of_axes(self.long_mm, self.short_mm), 1)

    @property
    def mean_whole_mm(self) -> int:
        """Mean diameter to the whole millimetre, as the Fleischner Society gives it."""
        return int(rounded(mean_of_axes(self.long_mm, self.short_mm), 0))


@dataclass(frozen=True)
class SolidPart:
    """The largest connected solid part of a nodule: voxels of `SOLID_PART_HU` or more."""

    axes: Axes
    volume_mm3: float


@dataclass(frozen=True)
class Sizes:
    """Sizes and densities of one nodule."""

    axes: Axes
    volume_mm3: float
    solid: SolidPart | None  # None where no voxel is solid
    calcified_share: float  # of its voxels
    mean_hu: float
    sd_hu: float
    percentiles_hu: tuple[float, ...]  # at `PERCENTILES`


def measure_sizes(ct: Volume, mask: NDArray[np.bool_], *, calcified_hu: float, scan: Volume | None = None) -> Sizes:
    """Measure one nodule with the voxels `mask` (Z, Y, X), not empty, in HU whose first axis runs through slices.

    Axes are those of its outline in `scan`, HU of the same nodule on a finer grid, where that is given; all else is
    measured over the mask. Voxels of `calcified_hu` or more are calcified. `LunglineError` for an empty mask or another
    shape.
    """

    if mask.shape != ct.shape_zyx or not mask.any():
        found = "an empty one" if mask.shape == ct.shape_zyx else f"shape {mask.shape}"
        raise LunglineError(f"expected a mask of shape {ct.shape_zyx} with voxels in it. Found {found}.")
    box = bounding_box(mask)
    inside, part = mask[box], ct.crop(box)
    hu = part.array[inside].astype(np.float64)
    drawn = None if scan is None else outline(scan, ct.with_array(mask))
    if drawn is not None and not (drawn.array > _LEAST_DEPTH).any():
        drawn = None
    solid = None
    if (part.array[inside] >= SOLID_PART_HU).any():
        wide = np.pad(inside, 1)
        dense = _dense(np.pad(part.array, 1), wide.astype(np.float64) - 0.5) > 0
        moved = geometry.shift_origin(part.affine, (-1, -1, -1))
        axes = axes_of(dense, moved)
        if drawn is not None and scan is not None:
            finer = _dense(scan.array, drawn.array)
            axes = axes_of(finer, drawn.affine) if (finer > _LEAST_DEPTH).any() else axes
        solid = SolidPart(axes, volume_of(dense, moved))
    return Sizes(
        axes=axes_of(mask, ct.affine) if drawn is None else axes_of(drawn.array, drawn.affine),
        volume_mm3=volume_of(inside, part.affine),
        solid=solid,
        calcified_share=float(np.mean(hu >= calcified_hu)),
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
        percentiles_hu=tuple(float(value) for value in np.percentile(hu, PERCENTILES)),
    )


def _dense(hu: NDArray, depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a depth (Z, Y, X), see `outline`, the largest connected part of `SOLID_PART_HU` or more."""
    found = np.minimum(depth, (hu.astype(np.float64) - SOLID_PART_HU) / _HU_A_MM)
    return largest_part(np.where((depth > 0) & (hu >= SOLID_PART_HU), np.maximum(found, 1e-6), found), found >= 0)


def volume_of(mask: NDArray[np.bool_], affine: Affine) -> float:
    """Volume of the voxels of a mask (Z, Y, X), mm3."""
    return float(np.count_nonzero(mask) * abs(np.linalg.det(affine[:3, :3])))


def axes_of(shape: NDArray[np.bool_] | NDArray[np.float64], affine: Affine) -> Axes:
    """The axes of a mask, or of a depth (`outline`), (Z, Y, X), in the axial slice in which the long axis is longest.

    The border is where the depth is 0, in between voxels. That of a mask is drawn through the blurred mask, and moved
    outwards by what blur takes from a curved border. Some voxel must be true or deeper than 0.
    """
    box = bounding_box(np.pad(shape > _LEAST_DEPTH, 1))
    wide = np.pad(shape, 1) if shape.dtype == bool else np.pad(shape, 1, constant_values=-1.0)
    y, x = (slice(part.start - 1, part.stop + 1) for part in box[1:])
    box = (box[0], y, x)
    inside, first, axes_xyz_mm = wide[box], [part.start - 1 for part in box], affine[:3, 1:3]
    found = [(z, *_long_axis(inside[z], axes_xyz_mm)) for z in range(len(inside)) if (inside[z] > _LEAST_DEPTH).any()]
    z, outline, i, j, blur = max(found, key=lambda one: round(_length(one[1][[one[2], one[3]]]), 6))
    long_ends, short_ends = _ends(outline, i, j, blur, np.cross(axes_xyz_mm[:, 0], axes_xyz_mm[:, 1]))
    place = geometry.voxel_to_world(affine, [first[0] + z, first[1], first[2]])
    return Axes(_length(long_ends), _length(short_ends), first[0] + int(z), long_ends + place, short_ends + place)


def _length(ends: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(ends[1] - ends[0]))


def _long_axis(
    shape_yx: NDArray[np.bool_] | NDArray[np.float64], axes_xyz_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int, int, float]:
    """The convex outline (n, 3) of a shape in one slice, mm from its first pixel, and the two points farthest apart.

    `axes_xyz_mm` (3, 2) are the steps from pixel to pixel. Last comes the blur that the outline was drawn through.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist, squareform

    border, blur = _border(shape_yx)
    outline = border[ConvexHull(border).vertices] @ axes_xyz_mm.T
    apart = squareform(pdist(outline))
    i, j = np.unravel_index(np.argmax(apart), apart.shape)
    return outline, int(i), int(j), blur


def _ends(
    outline: NDArray[np.float64], i: int, j: int, blur: float, normal: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where long and short axis end, (2, 3) points each, moved outwards by what blur took from the curved border."""
    long_ends, short_ends = outline[[i, j]], _longest_across(outline, i, j, normal)
    pixel_mm = float(np.sqrt(np.linalg.norm(normal)))
    a, b = (_length(ends) / 2 / pixel_mm for ends in (long_ends, short_ends))
    outwards = [min(_MOST_OUTWARD, blur**2 / 2 * bend) * pixel_mm for bend in (a / b**2, b / a**2)]
    return _longer(long_ends, outwards[0]), _longer(short_ends, outwards[1])


def _border(shape_yx: NDArray[np.bool_] | NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Points (n, 2) of the border of a mask or depth in one slice, as index (y, x), and the blur it was drawn through.

    What is too thin for the blur keeps the middles of its pixels' edges as its border: without blur that is where the
    border lies.
    """
    from scipy import ndimage

    shown, blur, margin = np.asarray(shape_yx, dtype=np.float64), 0.0, 0
    if shape_yx.dtype == bool:
        margin = _MARGIN
        shown = np.pad(shown, margin) - 0.5
        blurred = ndimage.gaussian_filter(shown, _BLUR)
        if blurred.max() >= 0.25:
            shown, blur = blurred, _BLUR
    points = []
    for axis in (0, 1):
        here = shown[:-1] if axis == 0 else shown[:, :-1]
        following = shown[1:] if axis == 0 else shown[:, 1:]
        crossed = (here >= 0) != (following >= 0)
        index = np.argwhere(crossed).astype(np.float64)
        index[:, axis] += here[crossed] / (here[crossed] - following[crossed])
        points.append(index - margin)
    return np.concatenate(points), blur


def _longer(ends: NDArray[np.float64], by_mm: float) -> NDArray[np.float64]:
    """A line (2, 3) that is longer by so much at each of its ends."""
    along = (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])
    return np.array([ends[0] - by_mm * along, ends[1] + by_mm * along])


def _longest_across(outline: NDArray[np.float64], i: int, j: int, normal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The longest chord (2, 3) of a convex outline (n, 3) in a plane, perpendicular to the line from point i to j.

    No two points lie farther apart than i and j: the outline runs forth from i to j and back. Between its corners the
    chord's length is linear, so one of the corners has the longest.
    """
    along = (outline[j] - outline[i]) / _length(outline[[i, j]])
    across = np.cross(normal, along)
    across /= np.linalg.norm(across)
    turned = np.roll(outline - outline[i], -i, axis=0)
    places, heights = turned @ along, turned @ across
    end = (j - i) % len(outline)
    forth = np.interp(places, places[: end + 1], heights[: end + 1])
    back = np.interp(places, [0.0, *places[: end - 1 : -1]], [0.0, *heights[: end - 1 : -1]])
    best = int(np.argmax(np.abs(forth - back)))
    foot = outline[i] + places[best] * along
    return np.array([foot + height * across for height in (forth[best], back[best])])
