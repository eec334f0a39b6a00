"""What the readers of raw scans share: the image as the file orders it, the limits, the way to HU."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline import limits
from lungline.errors import Quarantine

MAX_IN_PLANE = limits.MAX_IN_PLANE
MAX_SLICES = limits.MAX_SLICES
MAX_VOXELS = limits.MAX_VOXELS
MAX_FILES = limits.MAX_FILES
MAX_BYTES = limits.MAX_VOXEL_BYTES
AIR_HU = -1024  # the lowest value a scanner means; below it lies only padding
ROOM_MM = 1e5  # no scanner's origin is farther away
_SPACING_MM = (0.05, 20.0)  # what a CT can have


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


def check_size(columns: int, rows: int, slices: int, bytes_per_voxel: int = 2) -> None:
    """Quarantine a size that is impossible or too large, before anything of that size is made."""
    found = f"{columns} x {rows} x {slices} (columns, rows, slices)"
    if min(columns, rows, slices) < 1:
        raise Quarantine("Q_NO_GEOMETRY", f"the image size is {found}")
    voxels = columns * rows * slices
    too_many = voxels > MAX_VOXELS or voxels * bytes_per_voxel > MAX_BYTES
    if max(columns, rows) > MAX_IN_PLANE or slices > MAX_SLICES or too_many:
        limit = f"{MAX_IN_PLANE} x {MAX_IN_PLANE} x {MAX_SLICES}, {MAX_VOXELS} voxels and {MAX_BYTES} bytes"
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

    In a plane (rows, columns) of floats, NaN outside the field of view is padding, too. `Quarantine` with
    `Q_BAD_VOXELS` if any other value is not finite.
    """
    if values.dtype.kind == "f":
        missing = np.isnan(values)
        if missing.any() and values.ndim == 2 and lies_around(missing):
            values = np.where(missing, values.dtype.type(AIR_HU), values)
        if not np.all(np.isfinite(values)):
            raise Quarantine("Q_BAD_VOXELS", "the image holds values that are not finite, within its field of view")
        values = np.rint(values)
    if values.dtype == np.int16:
        native = values.astype(np.int16, copy=False)
        return native if native.min(initial=AIR_HU) >= AIR_HU else np.maximum(native, np.int16(AIR_HU))
    return np.clip(values, AIR_HU, np.iinfo(np.int16).max).astype(np.int16)


def lies_around(mask: NDArray[np.bool_]) -> bool:
    """Whether a mask (rows, columns) is what lies around a field of view, round, square or turned.

    No row and no column has a piece of it between two pixels outside it.
    """
    rows, columns = ((~m).astype(np.int8) for m in (mask, mask.T))
    return all(int((np.diff(m, axis=1, prepend=0) > 0).sum(axis=1).max(initial=0)) <= 1 for m in (rows, columns))
