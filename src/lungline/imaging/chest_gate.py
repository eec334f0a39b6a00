"""Whether a volume can be a CT of a chest at all: cheap checks before anything is built on it."""

import numpy as np

from lungline.errors import Quarantine
from lungline.imaging.volume import Volume

_MIN_EXTENT_ZYX_MM = (10.0, 60.0, 60.0)  # a slab of a chest is enough
_LUNG_HU = (-950, -600)
_TISSUE_HU = (-200, 300)
_MIN_LUNG = 0.03  # part of all voxels: chests have 0.19 to 0.28, the rim of a head below 0.02
_MIN_TISSUE = 0.05
_SAMPLES_AN_AXIS = 128  # the shares are read off a sparse grid


def check_chest(ct: Volume) -> None:
    """Quarantine what is not a CT of a chest, given as int16 HU in LPS order.

    `Q_BAD_VOXELS`: all voxels equal; `Q_NOT_CHEST_CT`: too small, air only, or without lung or soft tissue.
    """
    extent = ct.spacing_zyx_mm * ct.shape_zyx
    if np.any(extent < _MIN_EXTENT_ZYX_MM):
        found = f"{np.round(extent, 1).tolist()} mm (z, y, x); at least {list(_MIN_EXTENT_ZYX_MM)}"
        raise Quarantine("Q_NOT_CHEST_CT", f"the volume is too small: {found}")
    sparse = ct.array[tuple(slice(None, None, max(1, n // _SAMPLES_AN_AXIS)) for n in ct.shape_zyx)]
    if sparse.min() == sparse.max():
        raise Quarantine("Q_BAD_VOXELS", f"all voxels are {sparse.flat[0]} HU")
    lung = float(np.mean((sparse >= _LUNG_HU[0]) & (sparse <= _LUNG_HU[1])))
    tissue = float(np.mean((sparse >= _TISSUE_HU[0]) & (sparse <= _TISSUE_HU[1])))
    if lung < _MIN_LUNG or tissue < _MIN_TISSUE:
        found = f"{lung:.1%} of the voxels like lung, {tissue:.1%} like soft tissue"
        raise Quarantine("Q_NOT_CHEST_CT", f"{found}; at least {_MIN_LUNG:.0%} and {_MIN_TISSUE:.0%}")
