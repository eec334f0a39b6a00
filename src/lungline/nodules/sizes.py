"""Sizes of a nodule by the rules of the field, measured over its voxels in a label map.

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

#: Voxels of the nodule of this density or denser are its solid part: half way between ground glass and soft tissue, so
#: that blur moves the border of the solid part neither in nor out.
SOLID_PART_HU = -300
PERCENTILES = (5, 25, 50, 75, 95)
#: Blur of a slice's mask, pixels, before its border is drawn: the border of voxels has steps, and the longest of all
#: lines across would run from one outward step to another.
_BLUR = 0.9
_MARGIN = 4  # pixels around the mask, so that its blur ends in zero
_MOST_OUTWARD = 0.5  # pixels


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


def measure_sizes(ct: Volume, mask: NDArray[np.bool_], *, calcified_hu: float) -> Sizes:
    """Measure one nodule with the voxels `mask` (Z, Y, X), not empty, in HU whose first axis runs through slices.

    Voxels of `calcified_hu` or more are calcified. `LunglineError` for an empty mask or another shape.
    """
    from scipy import ndimage

    if mask.shape != ct.shape_zyx or not mask.any():
        found = "an empty one" if mask.shape == ct.shape_zyx else f"shape {mask.shape}"
        raise LunglineError(f"expected a mask of shape {ct.shape_zyx} with voxels in it. Found {found}.")
    box = bounding_box(mask)
    inside, part = mask[box], ct.crop(box)
    hu = part.array[inside].astype(np.float64)
    pieces, count = ndimage.label(inside & (part.array >= SOLID_PART_HU), np.ones((3, 3, 3)))
    solid = None
    if count:
        largest = pieces == 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
        whole = np.zeros_like(mask)
        whole[box] = largest
        solid = SolidPart(axes_of(whole, ct.affine), volume_of(largest, part.affine))
    return Sizes(
        axes=axes_of(mask, ct.affine),
        volume_mm3=volume_of(inside, part.affine),
        solid=solid,
        calcified_share=float(np.mean(hu >= calcified_hu)),
        mean_hu=float(hu.mean()),
        sd_hu=float(hu.std()),
        percentiles_hu=tuple(float(value) for value in np.percentile(hu, PERCENTILES)),
    )


def volume_of(mask: NDArray[np.bool_], affine: Affine) -> float:
    """Volume of the voxels of a mask (Z, Y, X), mm3."""
    return float(np.count_nonzero(mask) * abs(np.linalg.det(affine[:3, :3])))


def axes_of(mask: NDArray[np.bool_], affine: Affine) -> Axes:
    """The axes of a mask (Z, Y, X), not empty, in the axial slice in which its long axis is longest.

    The border is drawn through the blurred mask, where it is finer than voxels, and moved outwards by what blur takes
    from a curved border.
    """
    box = bounding_box(mask)
    inside, first, axes_xyz_mm = mask[box], [part.start for part in box], affine[:3, 1:3]
    found = [(z, *_long_axis(inside[z], axes_xyz_mm)) for z in np.flatnonzero(inside.any(axis=(1, 2)))]
    z, outline, i, j, blur = max(found, key=lambda one: round(_length(one[1][[one[2], one[3]]]), 6))
    long_ends, short_ends = _ends(outline, i, j, blur, np.cross(axes_xyz_mm[:, 0], axes_xyz_mm[:, 1]))
    place = geometry.voxel_to_world(affine, [first[0] + z, first[1], first[2]])
    return Axes(_length(long_ends), _length(short_ends), first[0] + int(z), long_ends + place, short_ends + place)


def _length(ends: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(ends[1] - ends[0]))


def _long_axis(
    mask_yx: NDArray[np.bool_], axes_xyz_mm: NDArray[np.float64]
) -> tuple[NDArray[np.float64], int, int, float]:
    """The convex outline (n, 3) of a mask in one slice, mm from its first pixel, and the two points farthest apart.

    `axes_xyz_mm` (3, 2) are the steps from pixel to pixel. Last comes the blur that the outline was drawn through.
    """
    from scipy.spatial import ConvexHull
    from scipy.spatial.distance import pdist, squareform

    border, blur = _border(mask_yx)
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


def _border(mask_yx: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Points (n, 2) of the border of a mask in one slice, as index (y, x), and the blur that it was drawn through.

    What is too thin for the blur keeps the middles of its pixels' edges as its border: without blur that is where the
    border lies.
    """
    from scipy import ndimage

    padded = np.pad(mask_yx, _MARGIN).astype(np.float64)
    blurred = ndimage.gaussian_filter(padded, _BLUR)
    blur = _BLUR if blurred.max() >= 0.75 else 0.0
    shown = blurred if blur else padded
    points = []
    for axis in (0, 1):
        here = shown[:-1] if axis == 0 else shown[:, :-1]
        following = shown[1:] if axis == 0 else shown[:, 1:]
        crossed = (here >= 0.5) != (following >= 0.5)
        index = np.argwhere(crossed).astype(np.float64)
        index[:, axis] += (0.5 - here[crossed]) / (following[crossed] - here[crossed])
        points.append(index - _MARGIN)
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
