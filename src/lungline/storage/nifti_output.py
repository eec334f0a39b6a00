"""Volumes as NIfTI files, for viewers and other programs."""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline import NOTICE, __version__
from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from lungline.storage.checksums import atomic_path

_SUFFIXES = (".nii", ".nii.gz")
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(volume: Volume, path: Path) -> None:
    """Write a volume as `.nii` or `.nii.gz`, on its own grid, whole or not at all; same content, same bytes.

    NIfTI orders indices (i, j, k), ours is [z, y, x], and its world is RAS, ours is LPS: both are turned, so that every
    voxel keeps its place in the patient. `bool` becomes uint8, float16 becomes float32, integers of 64 bits the
    smallest kind that holds them.

    Raises
    ------
    LunglineError
        For another suffix, or an array of anything but real numbers that NIfTI holds.
    """
    import nibabel

    if not path.name.endswith(_SUFFIXES):
        raise LunglineError(f"{path}: expected a name that ends in .nii or .nii.gz.")
    affine_ijk_to_ras = _LPS_TO_RAS @ volume.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(_storable(volume.array).T, affine_ijk_to_ras)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = f"lungline {__version__}. {NOTICE}"
    image.set_qform(affine_ijk_to_ras, code="scanner")
    image.set_sform(affine_ijk_to_ras, code="scanner")
    content = image.to_bytes()
    with atomic_path(path) as temporary:
        temporary.write_bytes(gzip.compress(content, compresslevel=1, mtime=0) if path.suffix == ".gz" else content)


def _storable(array: NDArray) -> NDArray:
    """The array in a type that NIfTI and its common readers know."""
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        for kind in (np.uint8, np.int16, np.int32):
            if np.iinfo(kind).min <= array.min() and array.max() <= np.iinfo(kind).max:
                return array.astype(kind)
        raise LunglineError(f"expected integers of at most 32 bits. Found {array.min()} to {array.max()}.")
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise LunglineError(f"expected an array of bool, integers or floats. Found {array.dtype}.")
    return array
