"""Lungs and lobes that another program has outlined: what its labels mean, and whether they lie on the scan."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.lungs import LEFT, RIGHT
from lungline.imaging.volume import Volume

What = Literal["lungs", "lobes"]
#: In the order of their labels, from 1, as lungmask (LTRCLobes) has them.
LOBES = ("left upper", "left lower", "right upper", "right middle", "right lower")
#: Label -> lobe, from 1. A whole map of TotalSegmentator (version 2, task `total`) holds its labels among others.
_LUNGMASK: Mapping[int, int] = {n: n for n in range(1, 6)}
_TOTAL_SEGMENTATOR: Mapping[int, int] = {n + 9: n for n in range(1, 6)}
_IN_WORDS = (
    "lobes 1 to 5 (lungmask LTRCLobes) or 10 to 14 (TotalSegmentator 2, task total)",
    "or lungs 1 right and 2 left (lungmask R231), or 1 for both",
)
_DARK_HU = -500
_EVERY = 2  # voxels: half of each axis is enough to see where lung lies
_LEAST_DARK = 0.2  # share of the mask that is as dark as lung
_MIRRORED = 0.05  # by which a mirrored mask must be darker to be the right one


def sides_or_lobes(labels: NDArray[np.int16], what: What) -> NDArray[np.uint8]:
    """Lobes numbered as `LOBES`, or lungs as 1 right, 2 left, or 3 where nothing parts them; 0 elsewhere.

    Parameters
    ----------
    labels : numpy.ndarray
        int16 (Z, Y, X), 0 to 255.
    what : "lungs" or "lobes"
        A map of lobes serves as lungs, too.

    Raises
    ------
    LunglineError
        If there is no label, or its labels are of neither program.
    """
    found = {int(n) for n in np.flatnonzero(np.bincount(labels.ravel())) if n}
    if not found:
        raise LunglineError("expected a label map. Every voxel is 0: it is empty.")
    meaning = _meaning(found, what)
    if meaning is None:
        words = " ".join(_IN_WORDS if what == "lungs" else _IN_WORDS[:1])
        listed = ", ".join(map(str, sorted(found)[:8])) + (" ..." if len(found) > 8 else "")
        raise LunglineError(f"expected labels of {words}. Found {listed}.")
    number_of = np.zeros(256, np.uint8)
    number_of[list(meaning)] = list(meaning.values())
    return number_of[labels]


def _meaning(found: set[int], what: What) -> Mapping[int, int] | None:
    if what == "lungs" and found == {1}:
        return {1: 3}
    if what == "lungs" and found == {1, 2}:
        return {1: RIGHT, 2: LEFT}
    lobes = next((known for known in (_LUNGMASK, _TOTAL_SEGMENTATOR) if len(found & known.keys()) > 2), None)
    if lobes is None or (lobes is _LUNGMASK and max(found) > 5):
        lobes = _TOTAL_SEGMENTATOR if len(found & _TOTAL_SEGMENTATOR.keys()) > 2 else None
    if lobes is None or what == "lobes":
        return lobes
    return {label: LEFT if lobe <= 2 else RIGHT for label, lobe in lobes.items()}


def on_the_grid(labels: Volume, shape_zyx: tuple[int, ...], affine: geometry.Affine, *, is_part: bool) -> Volume:
    """The label map on the grid of the scan, both in LPS order; `LunglineError` if it is of another grid.

    With `is_part` slices, rows and columns without a label may lack.
    """
    if is_part:
        first = geometry.world_to_voxel(affine, labels.affine[:3, 3])
        box = [slice(round(n), round(n) + size) for n, size in zip(first, labels.shape_zyx, strict=True)]
        if all(s.start >= 0 and s.stop <= n for s, n in zip(box, shape_zyx, strict=True)):
            whole = np.zeros(shape_zyx, labels.array.dtype)
            whole[box[0], box[1], box[2]] = labels.array
            labels = Volume(whole, geometry.shift_origin(labels.affine, [-s.start for s in box]))
    corners = np.stack(np.meshgrid(*([0, n - 1] for n in shape_zyx), indexing="ij"), axis=-1)
    apart = geometry.voxel_to_world(affine, corners) - geometry.voxel_to_world(labels.affine, corners)
    off_mm = float(np.abs(apart).max())
    if labels.shape_zyx == tuple(shape_zyx) and off_mm <= 0.25 * geometry.spacing_zyx_mm(affine).min():
        return Volume(labels.array, affine)
    expected, found = _grid(shape_zyx, affine), _grid(labels.shape_zyx, labels.affine)
    if expected == found:
        found = f"the same size at another place, up to {off_mm:.1f} mm off"
    raise LunglineError(f"expected the grid of the scan, {expected}. Found {found}: make the mask of this series.")


def _grid(shape_zyx: tuple[int, ...], affine: geometry.Affine) -> str:
    """Size and spacing in words, columns first."""
    voxels = " x ".join(str(n) for n in shape_zyx[::-1])
    return f"{voxels} voxels of {' x '.join(f'{mm:.4g}' for mm in geometry.spacing_zyx_mm(affine)[::-1])} mm"


def refuse_misplaced(numbers: NDArray[np.uint8], ct: Volume, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    """`LunglineError` if a mask does not lie on lung, or lies there only when it is mirrored.

    `numbers` (Z, Y, X) and `ct`, HU, are on one grid in LPS order; `left` and `right` are the numbers of the patient's
    sides, where they have any.
    """
    dark, inside = ct.array[::_EVERY, ::_EVERY, ::_EVERY] < _DARK_HU, numbers[::_EVERY, ::_EVERY, ::_EVERY] > 0
    if not inside.any():
        raise LunglineError("expected lungs. Found a few voxels.")
    share = float(dark[inside].mean())
    for axis, words in ((2, "left and right"), (1, "front and back"), (0, "head and feet")):
        mirrored = float(dark[np.flip(inside, axis)].mean())
        if mirrored > share + _MIRRORED:
            found = f"{100 * share:.0f} % of it are as dark as lung, {100 * mirrored:.0f} % with {words} exchanged"
            raise LunglineError(f"expected a mask on the lungs. Found: {found}. Save it with the scan's orientation.")
    if share < _LEAST_DARK:
        found = f"only {100 * share:.0f} % of it are as dark as lung"
        raise LunglineError(f"expected a mask on the lungs. Found: {found}. Name that of this scan.")
    columns = [np.count_nonzero(np.isin(numbers, side), axis=(0, 1)) for side in (left, right)]
    middles = [np.arange(side.size) @ side / side.sum() for side in columns if side.any()]
    if len(middles) == 2 and middles[0] < middles[1]:
        raise LunglineError("expected the labels of the left side on the patient's left. Left and right are exchanged.")
