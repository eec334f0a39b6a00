"""A nodule cut out of a real scan: varied, matched to another scan and blended in without a seam that gives it away."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungline.imaging.volume import overlap

_CAP_MM = 4  # as far as a nodule is continued beyond the end of its volume
_LUNG_HU = (-1000.0, -700.0)  # what noise is measured in
_SCALE = (0.85, 1.2)
_THICKNESS_TO_SIGMA = 0.4  # of the blur along z, for slices of a thickness and what lies between them
_RIM_VOXELS = 3.0  # a piece fades out this near to the end of its volume


@dataclass(frozen=True, eq=False)
class SourceNodule:
    """One nodule on a 1 mm grid, as far as its volume reaches."""

    name: str
    patient: str
    malignant: int  # 1 or 0, as the readers rated it
    diameter_mm: float
    hu: NDArray[np.float32]  # (Z, Y, X), of the nodule and what lies around it
    mask: NDArray[np.bool_]  # (Z, Y, X), what the readers outlined
    thickness_mm: float  # distance of the slices that it was scanned with


def close_ends(nodule: SourceNodule) -> SourceNodule:
    """The nodule with round ends: volumes of LIDC-IDRI end in z where the outline ends, often in the middle of tissue.

    The last slice is repeated, and of the mask what lies k mm from its edge or deeper is kept in the k-th new slice.
    """

    def cap(slice_yx: NDArray[np.bool_]) -> NDArray[np.bool_]:
        depth = ndimage.distance_transform_edt(slice_yx)
        return np.stack([depth > k * k for k in range(1, _CAP_MM + 1)])  # a sphere's caps shrink faster and faster

    below, above = cap(nodule.mask[0]), cap(nodule.mask[-1])
    mask = np.concatenate([below[::-1], nodule.mask, above])
    return replace(nodule, hu=np.pad(nodule.hu, ((_CAP_MM, _CAP_MM), (0, 0), (0, 0)), mode="edge"), mask=mask)


def vary(nodule: SourceNodule, rng: np.random.Generator) -> SourceNodule:
    """The nodule turned about z by any angle, mirrored along any axis and a little larger or smaller."""
    angle, scale = rng.uniform(0, 2 * np.pi), rng.uniform(*_SCALE)
    mirror = rng.choice([-1.0, 1.0], 3)
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]]) * mirror / scale
    shape = np.ceil(np.array(nodule.mask.shape) * scale).astype(int)
    shape[1:] = int(np.ceil(max(nodule.mask.shape[1:]) * scale))
    offset = (np.array(nodule.mask.shape) - 1) / 2 - matrix @ ((shape - 1) / 2)
    hu = ndimage.affine_transform(nodule.hu, matrix, offset, tuple(shape), order=1, mode="nearest")
    inside = ndimage.affine_transform(nodule.mask.astype(np.float32), matrix, offset, tuple(shape), order=1)
    return replace(nodule, hu=hu, mask=inside >= 0.5, diameter_mm=nodule.diameter_mm * scale)


def noise_of(hu: NDArray[np.float32]) -> float:
    """Standard deviation in HU of the fine grain of lung tissue in (Z, Y, X) HU, robust against vessels; 0 if unknown.

    What is left in the plane after a Gaussian of 1 voxel is taken off; 1.4826 times the median of its absolute values.
    """
    lung = (hu > _LUNG_HU[0]) & (hu < _LUNG_HU[1])
    if lung.sum() < 50:
        return 0.0
    return float(1.4826 * np.median(np.abs(grain(hu)[lung])))


def grain(hu: NDArray[np.float32]) -> NDArray[np.float32]:
    """The fine grain of (Z, Y, X) HU: what a Gaussian of 1 voxel in the plane takes away."""
    return np.asarray(hu - ndimage.gaussian_filter(hu, (0, 1, 1)))


@dataclass(frozen=True)
class Blend:
    """How a piece is blended in: with a weight of 1 inside its mask that falls to 0 at `margin_mm` from it."""

    margin_mm: float  # large: the piece brings its own surroundings; small: cut in the nodule's shape
    power: float  # of the fall; 1 is straight

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Blend:
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

    Thickness and noise are those of the piece's own scan and of the receiving one; `receiving_grain` is noise of the
    latter, of a place without structure, with the shape of the piece.
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
