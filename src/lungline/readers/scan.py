"""One way in for every scan: DICOM, MetaImage or NIfTI becomes a `Volume` of HU.

The only place that reverses axes: files order indices (i, j, k), our arrays are [z, y, x].
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lungline import limits
from lungline.errors import LunglineError, Quarantine
from lungline.imaging.volume import Volume
from lungline.readers.by_format import reader_of
from lungline.readers.raw import RawImage, hu_int16
from lungline.readers.sandbox import Answer, run_in_sandbox
from lungline.scan_formats import FORMATS, Source
from lungline.storage.checksums import sha256
from lungline.storage.hdf5 import Flag

_PARALLEL = 0.99  # cosine: an axis of the array runs through the slices, or through rows or columns


def read_scan(path: Path, source: Source) -> tuple[Volume, list[Flag]]:
    """Read one scan (a folder of DICOM files, or a file) in a child process: see `lungline.readers.sandbox`.

    Returns int16 HU (Z, Y, X), native spacing, axes in LPS order, padding at -1024, and `W_` flags: what had to be left
    out, filled or corrected. `Quarantine` says why a scan cannot be used.
    """
    return read_numbered_scan(path, source)[:2]


def read_numbered_scan(path: Path, source: Source) -> tuple[Volume, list[Flag], tuple[int, ...] | None]:
    """As `read_scan`, with the InstanceNumber of each slice, lowest first.

    None where the source has no such numbers, or its slices do not follow each other along the first axis.
    """
    path = real_path(path)

    def work() -> Answer:
        ct, flags, numbers = _read_here(path, source)
        return ct.array, (ct.affine.tolist(), [(flag.flag, flag.detail) for flag in flags], numbers)

    array, (affine, flags, numbers) = run_in_sandbox(work)
    return Volume(array, affine), [Flag(*flag) for flag in flags], None if numbers is None else tuple(numbers)


def read_as_stored(path: Path, source: Source) -> Volume:
    """HU of a scan, as `read_scan`, but with the axes of its file: voxel for voxel what other programs see of it.

    The first axis runs through the slices of a DICOM series, or is the last index of a file.
    """
    path = real_path(path)

    def work() -> Answer:
        ct = volume_of(reader_of(source).read(path)[0])
        return ct.array, ct.affine.tolist()

    return Volume(*run_in_sandbox(work))


def _read_here(path: Path, source: Source) -> tuple[Volume, list[Flag], tuple[int, ...] | None]:
    image, flags = reader_of(source).read(path)
    ct, numbers, across = volume_of(image), image.instance_numbers, image.affine_ijk[:3, 2]
    del image  # before the axes are turned, which may take a copy
    ct = ct.to_lps()
    along = ct.affine[:3, 0] @ across / np.linalg.norm(ct.affine[:3, 0]) / np.linalg.norm(across)
    if numbers is not None:
        numbers = None if abs(along) < _PARALLEL else numbers if along > 0 else numbers[::-1]
    return ct, flags, numbers


def volume_of(image: RawImage) -> Volume:
    """The image as int16 HU whose affine takes (z, y, x): its columns are those of (i, j, k), reversed."""
    affine = np.asarray(image.affine_ijk)[:, [2, 1, 0, 3]]
    stored = image.array
    in_place = stored.dtype == np.int16 and stored.flags.writeable  # the memory holds two such arrays, and not three
    hu = stored if in_place else np.empty(stored.shape, dtype=np.int16)
    for k, plane in enumerate(stored):  # slice by slice, for the sake of memory
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
    """The files that a scan consists of: all in a DICOM folder, a header and its pixels, or one.

    A file in the folder that is too large for any slice is none of them. `Quarantine` with `Q_LIMIT` where they take
    more bytes than a scan may: each is read whole, for its hash.
    """
    path = real_path(path)
    if FORMATS[source].suffixes and not path.is_file():  # a pipe or a device would never end
        raise Quarantine("Q_UNREADABLE", "the scan is not a regular file")
    sizes = {file: file.stat().st_size for file in reader_of(source).files_of(path)}
    if not FORMATS[source].suffixes:
        sizes = {file: size for file, size in sizes.items() if size <= limits.MAX_FILE_BYTES}
    if max(sizes.values(), default=0) > limits.MAX_FILE_BYTES or sum(sizes.values()) > limits.MAX_SCAN_BYTES:
        most = f"{limits.MAX_FILE_BYTES} in a file, {limits.MAX_SCAN_BYTES} in all"
        raise Quarantine("Q_LIMIT", f"the files of the scan take {sum(sizes.values())} bytes; at most {most}")
    return list(sizes)


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
