"""The cubes that the cancer network sees (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.detection.candidates import Candidate, crop_cube
from lungline.imaging.intensity import WINDOW_HU, scale_hu


@dataclass(frozen=True)
class Patches:
    """Cubes of one scan.

    Attributes
    ----------
    cubes : (count, 2, size, size, size) float16
        Channel 0 scaled HU 0..1, channel 1 nodule probability 0..1; zero in absent slots.
    valid : (count,) bool
        Whether a slot holds a candidate. Absent ones never take part in the maximum.
    centroid_xyz_mm : (count, 3) float64
        World position (x, y, z) mm, LPS; NaN in absent slots.
    score : (count,) float64
        What the candidates are ranked by, falling; NaN in absent slots.
    """

    cubes: NDArray[np.float16]
    valid: NDArray[np.bool_]
    centroid_xyz_mm: NDArray[np.float64]
    score: NDArray[np.float64]


def crop_patches(
    ct_hu: NDArray, probability: NDArray, candidates: Sequence[Candidate], *, count: int = 20, size: int = 32
) -> Patches:
    """Cubes of HU and probability (both (Z, Y, X), one grid) around the first `count` candidates."""
    cubes = np.zeros((count, 2, size, size, size), dtype=np.float16)
    valid = np.zeros(count, dtype=bool)
    centroids, scores = np.full((count, 3), np.nan), np.full(count, np.nan)
    for slot, candidate in enumerate(candidates[:count]):
        cubes[slot, 0] = scale_hu(crop_cube(ct_hu, candidate.centroid_zyx, size, outside=WINDOW_HU[0]))
        cubes[slot, 1] = crop_cube(probability, candidate.centroid_zyx, size, outside=0.0)
        valid[slot] = True
        centroids[slot], scores[slot] = candidate.centroid_xyz_mm, candidate.score
    return Patches(cubes, valid, centroids, scores)
