"""What the readers of raw scans share: the image as the file orders it, the limits, the way to HU."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine

MAX_IN_PLANE = 2048  # rows or columns
MAX_SLICES = 5000
MAX_VOXELS = 2**28
MAX_FILES = 20_000  # of a folder or a zip
MAX_BYTES = 2**30  # of the voxels, in the type of the file
AIR_HU = -1024  # the lowest value a scanner means; below it lies only padding
ROOM_MM = 1e5  # no scanner's origin is farther away
_SPACING_MM = (0.05, 20.0)  # what a CT can have
_SOURCES = {".nii.gz": "nifti", ".nii": "nifti", ".mhd": "mhd", ".mha": "mhd"}
_LOOK_INTO = 8  # files of a folder that are opened before it counts as one without DICOM


@dataclass(frozen=True)
class RawImage:
    """An image as its file orders it; `lungline.readers.scan` turns it into a `Volume`."""

    #: (K, J, I), C order: the file's fastest index i is the last axis.
    array: NDArray
    #: (4, 4): index (i, j, k, 1) to world (x, y, z, 1) in mm, LPS.
    affine_ijk: NDArray[np.float64]
    #: InstanceNumber of each of the K planes, or of the slice that lies nearest to it; None where there is none.
    instance_numbers: tuple[int, ...] | None = None


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a folder is a file, or a link to one."""
    try:
        return entry.is_file()
    except OSError:  # links in a circle lead to no file
        return False


def scan_suffix(name: str) -> str:
    """The end of a file's name that says it is a scan by itself (MetaImage, NIfTI); "" where there is none."""
    return next((suffix for suffix in _SOURCES if name.endswith(suffix)), "")


def source_of_name(name: str) -> str:
    """How to read a file that is a scan by itself."""
    return _SOURCES[scan_suffix(name)]


def start_of_file(path: Path) -> bytes:
    """What the mark of DICOM is looked for in."""
    with open(path, "rb") as handle:
        return handle.read(132)


def is_dicom(path: Path, start_of: Callable[[Path], bytes] = start_of_file) -> bool:
    """Whether a file carries the mark of DICOM; a DICOMDIR, which is only a list, does not count."""
    return path.name.upper() != "DICOMDIR" and start_of(path)[128:] == b"DICM"


def looks_like_dicom(files: Sequence[Path], start_of: Callable[[Path], bytes] = start_of_file) -> bool:
    """Whether the sorted files of one folder are a scan: by a name in .dcm, else by the mark in the first files."""
    return any(path.suffix.lower() == ".dcm" for path in files) or any(
        is_dicom(path, start_of) for path in files[:_LOOK_INTO]
    )


def check_size(columns: int, rows: int, slices: int, bytes_per_voxel: int = 2) -> None:
    """Quarantine a size that is impossible or too large, before anything of that size is made."""
    found = f"{columns} x {rows} x {slices} (columns, rows, slices)"
    if min(columns, rows, slices) < 1:
        raise Quarantine("Q_NO_GEOMETRY", f"the image size is {found}")
    voxels = columns * rows * slices
    too_many = voxels > MAX_VOXELS or voxels * bytes_per_voxel > MAX_BYTES
    if max(columns, rows) > MAX_IN_PLANE or slices > MAX_SLICES or too_many:
        limit = f"{MAX_IN_PLANE} x {MAX_IN_PLANE} x {MAX_SLICES}, 2^28 voxels and 2^30 bytes"
        raise Quarantine("Q_LIMIT", f"the image claims {found}; at most {limit}")


def check_affine(affine_ijk: NDArray[np.float64]) -> None:
    """Quarantine an affine that no scanner could have written: spacing, or axes that are not at right angles."""
    if not np.all(np.isfinite(affine_ijk)):
        raise Quarantine("Q_BAD_SPACING", "position, spacing or direction holds a number that is not finite")
    if np.abs(affine_ijk[:3, 3]).max() >= ROOM_MM:
        raise Quarantine("Q_NO_GEOMETRY", f"the image lies more than {ROOM_MM:g} mm from the origin of the scanner")
    axes = affine_ijk[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.all((spacing >= _SPACING_MM[0]) & (spacing <= _SPACING_MM[1])):
        found = f"spacing {np.round(spacing, 4).tolist()} mm (i, j, k)"
        raise Quarantine("Q_BAD_SPACING", f"{found}; expected {_SPACING_MM[0]} to {_SPACING_MM[1]}")
    cosines = axes / spacing
    if not np.allclose(cosines.T @ cosines, np.eye(3), atol=2e-3):
        raise Quarantine("Q_BAD_DIRECTION", "the axes of the image are not at right angles")


def hu_int16(values: NDArray) -> NDArray[np.int16]:
    """HU of any numeric type as int16: rounded, padding (below -1024 HU) set to -1024, clipped to what int16 holds.

    `Quarantine` with `Q_BAD_VOXELS` if a value is not finite.
    """
    if values.dtype.kind == "f":
        if not np.all(np.isfinite(values)):
            raise Quarantine("Q_BAD_VOXELS", "the image holds values that are not finite")
        values = np.rint(values)
    if values.dtype == np.int16:
        native = values.astype(np.int16, copy=False)
        return native if native.min(initial=AIR_HU) >= AIR_HU else np.maximum(native, np.int16(AIR_HU))
    return np.clip(values, AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
