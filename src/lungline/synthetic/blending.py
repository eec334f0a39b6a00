"""Blend a piece of tissue into another scan, without a seam that gives it away."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_THICKNESS_TO_SIGMA = 0.4  # of the blur along z, for slices of a thickness and what lies between them
_RIM_VOXELS = 3.0  # a piece fades out this near to the end of its volume


@dataclass(frozen=True)
class Blend:
    """How a piece is blended in: with a weight of 1 inside its mask that falls to 0 at `margin_mm` from it.

    Attributes
    ----------
    margin_mm : float
        Large: the piece brings its own surroundings. Small: cut in the nodule's shape.
    power : float
        Of the fall; 1 is straight.
    """

    margin_mm: float
    power: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Blend:
        """One of many: half of them tight, half with surroundings."""
        tight = rng.random() < 0.5
        return cls(float(rng.uniform(1.5, 4.0) if tight else rng.uniform(5.0, 12.0)), float(rng.uniform(0.7, 2.0)))


def weight_of(mask: NDArray[np.bool_], blend: Blend) -> NDArray[np.float32]:
    """Weight 0..1 of a piece (Z, Y, X): 1 inside `mask`, 0 at the ends of its volume that the mask does not touch."""
    away = ndimage.distance_transform_edt(~mask)
    fall = np.clip(1 - away / blend.margin_mm, 0, 1) ** blend.power
    ends = [np.minimum(np.arange(n), np.arange(n)[::-1]) / _RIM_VOXELS for n in mask.shape]
    rim = np.minimum(np.minimum(ends[0][:, None, None], ends[1][None, :, None]), ends[2][None, None, :])
    return np.where(mask, 1, np.minimum(fall * fall * (3 - 2 * fall), np.clip(rim, 0, 1))).astype(np.float32)


def match(
    hu: NDArray[np.float32],
    *,
    thickness_mm: tuple[float, float],
    noise_hu: tuple[float, float],
    receiving_grain: NDArray[np.float32],
) -> NDArray[np.float32]:
    """HU (Z, Y, X) of a piece as the receiving scan would show it.

    Parameters
    ----------
    thickness_mm, noise_hu : pair of floats
        Of the piece's own scan and of the receiving one.
    receiving_grain : (Z, Y, X) float32
        Noise of the receiving scan, of a place without structure, with the shape of the piece.
    """
    own, wanted = thickness_mm
    blur = _THICKNESS_TO_SIGMA * np.sqrt(max(wanted**2 - own**2, 0.0))
    out = ndimage.gaussian_filter1d(hu, blur, axis=0, mode="nearest") if blur > 0.3 else hu
    own_noise, wanted_noise = noise_hu
    own_noise /= np.sqrt(1 + 2 * blur)  # slices that were added up are less noisy
    if own_noise > 1.3 * wanted_noise:
        return np.asarray(ndimage.gaussian_filter(out, (0, 0.6, 0.6)), dtype=np.float32)
    missing = np.sqrt(max(wanted_noise**2 - own_noise**2, 0.0)) / max(wanted_noise, 1e-6)
    return np.asarray(out + missing * receiving_grain, dtype=np.float32)


def blend_in(
    hu: NDArray[np.float32], piece: NDArray[np.float32], weight: NDArray[np.float32], first_zyx: NDArray[np.int64]
) -> None:
    """Change `hu` (Z, Y, X) in place: weight * piece + (1 - weight) * hu, the piece's first voxel at `first_zyx`."""
    there, own = overlap(hu.shape, weight.shape, first_zyx)
    hu[there] += weight[own] * (piece[own] - hu[there])


Box = tuple[slice, slice, slice]


def overlap(shape: tuple[int, ...], piece: tuple[int, ...], first_zyx: NDArray[np.int64]) -> tuple[Box, Box]:
    """Where a piece lies in a volume, and which part of the piece that is."""
    low = [max(int(f), 0) for f in first_zyx]
    high = [min(int(f) + n, m) for f, n, m in zip(first_zyx, piece, shape, strict=True)]
    there = tuple(slice(a, max(a, b)) for a, b in zip(low, high, strict=True))
    own = tuple(slice(s.start - int(f), s.stop - int(f)) for s, f in zip(there, first_zyx, strict=True))
    return (there[0], there[1], there[2]), (own[0], own[1], own[2])
