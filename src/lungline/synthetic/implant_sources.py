"""Nodules that were cut out of real scans, and how one is varied before it is inserted elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_CAP_MM = 4  # as far as a nodule is continued beyond the end of its volume
_LUNG_HU = (-1000.0, -700.0)  # what noise is measured in
_SCALE = (0.85, 1.2)


@dataclass(frozen=True, eq=False)
class SourceNodule:
    """One nodule on a 1 mm grid, as far as its volume reaches.

    Attributes
    ----------
    name, patient : str
    malignant : int
        1 or 0, as the readers rated it.
    diameter_mm : float
    hu, mask : (Z, Y, X) float32 and bool
        HU of the nodule and what lies around it; what the readers outlined.
    thickness_mm : float
        Distance of the slices that it was scanned with.
    """

    name: str
    patient: str
    malignant: int
    diameter_mm: float
    hu: NDArray[np.float32]
    mask: NDArray[np.bool_]
    thickness_mm: float


def close_ends(nodule: SourceNodule) -> SourceNodule:
    """The nodule with round ends: volumes of LIDC-IDRI end in z where the outline ends, often in the middle of tissue.

    The last slice is repeated, and of the mask what lies k mm from its edge or deeper is kept in the k-th new slice.
    """
    below, above = (_cap(nodule.mask[end]) for end in (0, -1))
    mask = np.concatenate([below[::-1], nodule.mask, above])
    return replace(nodule, hu=np.pad(nodule.hu, ((_CAP_MM, _CAP_MM), (0, 0), (0, 0)), mode="edge"), mask=mask)


def _cap(slice_yx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    depth = ndimage.distance_transform_edt(slice_yx)
    return np.stack([depth > k * k for k in range(1, _CAP_MM + 1)])  # a sphere's caps shrink faster and faster


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
