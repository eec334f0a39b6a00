"""One way in for every scan: DICOM, MetaImage or NIfTI becomes a `Volume` of HU.

The only place that reverses axes: files order indices (i, j, k), our arrays are [z, y, x].
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError, Quarantine
from lungline.io import metaimage
from lungline.io.apart import run_apart
from lungline.io.hdf5 import Code, sha256
from lungline.io.raw import RawImage, hu_int16
from lungline.volume import Volume

Source = Literal["dicom", "mhd", "nifti"]


def read_scan(path: Path, source: Source) -> tuple[Volume, list[Code]]:
    """Read one scan, in a child process: see `lungline.io.apart`.

    Parameters
    ----------
    path : Path
        Folder of DICOM files, or a file; links are followed.
    source : "dicom", "mhd" or "nifti"

    Returns
    -------
    ct : Volume
        int16 HU (Z, Y, X), native spacing, axes in LPS order, padding at -1024.
    codes : list of Code
        `W_` codes: what had to be left out, filled or corrected.

    Raises
    ------
    Quarantine
        If the scan cannot be used.
    """
    path = real_path(path)

    def work() -> tuple[NDArray[np.int16], Any]:
        ct, codes = _read_here(path, source)
        return ct.array, (ct.affine.tolist(), [(code.code, code.detail) for code in codes])

    array, (affine, codes) = run_apart(work)
    return Volume(array, affine), [Code(*code) for code in codes]


def _read_here(path: Path, source: Source) -> tuple[Volume, list[Code]]:
    codes: list[Code] = []
    if source == "dicom":
        from lungline.io.dicom import read_dicom

        image, codes = read_dicom(path)
    elif source == "mhd":
        image = metaimage.read_metaimage(path)
    elif source == "nifti":
        from lungline.io.nifti import read_nifti

        image = read_nifti(path)
    else:
        raise LunglineError(f"source must be dicom, mhd or nifti. Got '{source}'.")
    ct = volume_of(image)
    del image  # before the axes are turned, which may take a copy
    return ct.to_lps(), codes


def volume_of(image: RawImage) -> Volume:
    """The image as int16 HU whose affine takes (z, y, x): its columns are those of (i, j, k), reversed."""
    affine = np.asarray(image.affine_ijk)[:, [2, 1, 0, 3]]
    hu = np.empty(image.array.shape, dtype=np.int16)
    for k, plane in enumerate(image.array):  # slice by slice, for the sake of memory
        hu[k] = hu_int16(plane)
    return Volume(hu, affine)


def real_path(path: Path) -> Path:
    """Where a link leads; its target may be named after a patient, so nothing is said of it."""
    if not os.path.lexists(path):
        raise LunglineError(f"{path}: expected a scan or a link to one. There is none; list the scans again.")
    try:
        return Path(path).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        raise Quarantine("Q_UNREADABLE", "the link to the scan leads to no file or folder") from None


def raw_files(path: Path, source: Source) -> list[Path]:
    """The files that a scan consists of: all in a DICOM folder, header and pixels of a MetaImage, or one."""
    path = real_path(path)
    if source == "dicom":
        from lungline.io.dicom_headers import regular_files

        return regular_files(path)
    return metaimage.files_of(path) if source == "mhd" else [path]


def hash_of_files(files: Sequence[Path]) -> str:
    """SHA-256 over the sorted SHA-256 of the files: names, order and place do not matter, every bit does."""
    digests = sorted(sha256(path) for path in files)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
