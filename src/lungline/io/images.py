"""One way in for every scan: DICOM, MetaImage or NIfTI becomes a `Volume` of HU.

The only place that reverses axes: files order indices (i, j, k), our arrays are [z, y, x].
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lungline.errors import LunglineError
from lungline.io import metaimage
from lungline.io.hdf5 import Code
from lungline.io.raw import RawImage, hu_int16
from lungline.io.seals import sha256
from lungline.volume import Volume

Source = Literal["dicom", "mhd", "nifti"]


def read_scan(path: Path, source: Source) -> tuple[Volume, list[Code]]:
    """Read one scan.

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
    return volume_of(image).to_lps(), codes


def volume_of(image: RawImage) -> Volume:
    """The image as int16 HU whose affine takes (z, y, x): its columns are those of (i, j, k), reversed."""
    affine = np.asarray(image.affine_ijk)[:, [2, 1, 0, 3]]
    return Volume(hu_int16(image.array), affine)


def real_path(path: Path) -> Path:
    """Where a link leads. Its target may be named after a patient, so an error names the link alone."""
    try:
        return Path(path).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        raise LunglineError(f"{path}: leads to no file or folder. Restore the scan or list the scans again.") from None


def raw_files(path: Path, source: Source) -> list[Path]:
    """The files that a scan consists of: all in a DICOM folder, header and pixels of a MetaImage, or one."""
    path = real_path(path)
    if source == "dicom":
        from lungline.io.dicom_headers import regular_files

        return regular_files(path)
    return metaimage.files_of(path) if source == "mhd" else [path]


def digests_of_files(files: Sequence[Path]) -> tuple[str, ...]:
    """SHA-256 of each file, sorted: names, order and place do not matter, every bit does."""
    return tuple(sorted(map(sha256, files)))


def hash_of_files(files: Sequence[Path]) -> str:
    """One SHA-256 for a scan: over the sorted ones of its files."""
    return hashlib.sha256("\n".join(digests_of_files(files)).encode()).hexdigest()
