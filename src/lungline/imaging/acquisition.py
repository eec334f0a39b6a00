"""Acquisition of a scan in three numbers, and whether they lie in the ranges of a model's training scans.

A network has learnt what nodules look like in scans of its training. Thicker slices blur them, a sharp kernel or a low
dose adds grain; what it says of such scans nobody has measured.
"""

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.volume import Volume

#: The numbers, with words to say one.
NUMBERS = {
    "slice_mm": ("slices are", "mm apart"),
    "pixel_mm": ("pixels are", "mm wide"),
    "noise_hu": ("noise is", "HU"),
}
#: A scan is unlike the others if a number lies beyond their smallest or largest by more than this factor.
FACTOR = 1.25
#: Fewer scans than this have no range that means anything.
FEWEST = 5
_SOFT_HU = (-50, 150)  # muscle, blood, liver
_EVERY = 4  # slices: noise needs no more


def describe_acquisition(ct: Volume) -> dict[str, float]:
    """`slice_mm`, `pixel_mm` and `noise_hu` of a scan (HU of any real dtype) as it was read.

    Noise is the robust spread (median absolute deviation, scaled to a standard deviation) of the second difference
    along x within soft tissue, divided by the square root of 6: of white noise its standard deviation. It rises with
    a sharp kernel and a low dose and falls with a smooth kernel and thick slices; edges hardly count. 0 where there
    is no soft tissue.
    """
    bends = [_bend_in_tissue(plane.astype(np.float32)) for plane in ct.array[::_EVERY]]  # a plane at a time: memory
    bend = np.concatenate(bends)
    noise = 1.4826 * float(np.median(np.abs(bend))) / 6**0.5 if bend.size else 0.0
    z, y, x = (float(step) for step in ct.spacing_zyx_mm)
    return {"slice_mm": round(z, 4), "pixel_mm": round(max(y, x), 4), "noise_hu": round(noise, 2)}


def _bend_in_tissue(plane_hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """Second difference along x of an axial plane (Y, X), where it lies in soft tissue."""
    left, here, right = plane_hu[:, :-2], plane_hu[:, 1:-1], plane_hu[:, 2:]
    soft = np.all([(part > _SOFT_HU[0]) & (part < _SOFT_HU[1]) for part in (left, here, right)], axis=0)
    bend: NDArray[np.float32] = (left - 2 * here + right)[soft]
    return bend


def ranges_of(scans: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """Smallest and largest of each number; empty for fewer than `FEWEST` scans."""
    known = [scan for scan in scans if NUMBERS.keys() <= scan.keys()]
    if len(known) < FEWEST:
        return {}
    return {name: [pick(scan[name] for scan in known) for pick in (min, max)] for name in NUMBERS}


def unlike(scan: Mapping[str, float], ranges: Mapping[str, list[float]]) -> str:
    """Which of the numbers of a scan lie outside the ranges of a training, as text; "" if none, or one is unknown.

    Voxels that are cubes were made by resampling, and hide how far apart the slices were.
    """
    if not ranges or ranges.get("slice_mm") == ranges.get("pixel_mm") or scan.get("slice_mm") == scan.get("pixel_mm"):
        return ""
    found = []
    for name, (name_of, unit) in NUMBERS.items():
        if name in scan and name in ranges:
            low, high = ranges[name]
            if not low / FACTOR <= scan[name] <= high * FACTOR:
                found.append(f"{name_of} {scan[name]:g} {unit}, in the training {low:g} to {high:g}")
    return "; ".join(found)
