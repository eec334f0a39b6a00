"""One way in for every scan: DICOM, MetaImage or NIfTI becomes a `Volume` of HU.

The only place that reverses axes: files order indices (i, j, k), our arrays are [z, y, x].
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from lungline.errors import LunglineError, Quarantine
from lungline.imaging.volume import Volume
from lungline.readers import metaimage
from lungline.readers.raw import RawImage, hu_int16
from lungline.readers.sandbox import Answer, run_in_sandbox
from lungline.storage.checksums import sha256
from lungline.storage.hdf5 import Flag

Source = Literal["dicom", "mhd", "nifti"]


def read_scan(path: Path, source: Source) -> tuple[Volume, list[Flag]]:
    """Read one scan (a folder of DICOM files, or a file) in a child process: see `lungline.readers.sandbox`.

    Returns int16 HU (Z, Y, X), native spacing, axes in LPS order, padding at -1024, and `W_` flags: what had to be left
    out, filled or corrected. `Quarantine` says why a scan cannot be used.
    """
    path = real_path(path)

    def work() -> Answer:
        ct, flags = _read_here(path, source)
        return ct.array, (ct.affine.tolist(), [(flag.flag, flag.detail) for flag in flags])

    array, (affine, flags) = run_in_sandbox(work)
    return Volume(array, affine), [Flag(*flag) for flag in flags]


def _read_here(path: Path, source: Source) -> tuple[Volume, list[Flag]]:
    flags: list[Flag] = []
    if source == "dicom":
        from lungline.readers.dicom import read_dicom

        image, flags = read_dicom(path)
    elif source == "mhd":
        image = metaimage.read_metaimage(path)
    elif source == "nifti":
        from lungline.readers.nifti import read_nifti

        image = read_nifti(path)
    else:
        raise LunglineError(f"source must be dicom, mhd or nifti. Got '{source}'.")
    ct = volume_of(image)
    del image  # before the axes are turned, which may take a copy
    return ct.to_lps(), flags


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
        from lungline.readers.dicom_headers import regular_files

        return regular_files(path)
    if not path.is_file():  # a pipe or a device would never end
        raise Quarantine("Q_UNREADABLE", "the scan is not a regular file")
    return metaimage.files_of(path) if source == "mhd" else [path]


def digests_of_files(files: Sequence[Path]) -> tuple[str, ...]:
    """SHA-256 of each file, sorted: names, order and place do not matter, every bit does."""
    return tuple(sorted(map(sha256, files)))


def hash_of_files(files: Sequence[Path]) -> str:
    """One SHA-256 for a scan: over the sorted ones of its files."""
    return hashlib.sha256("\n".join(digests_of_files(files)).encode()).hexdigest()


def hash_of_hu(ct: Volume) -> str:
    """SHA-256 over shape and HU (int16 little endian) of a volume in LPS order: the same for every container."""
    digest = hashlib.sha256(repr(ct.array.shape).encode())
    digest.update(np.ascontiguousarray(ct.array, dtype="<i2").data)
    return digest.hexdigest()


def hash_of_histogram(ct: Volume) -> str:
    """SHA-256 over how often each HU occurs: the same for a copy that is mirrored, turned or in another order."""
    counts = np.zeros(1 << 16, dtype="<i8")
    for plane in np.ascontiguousarray(ct.array, dtype=np.int16):
        counts += np.bincount(plane.ravel().view(np.uint16), minlength=len(counts))
    return hashlib.sha256(counts.data).hexdigest()
