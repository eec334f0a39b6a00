"""Write the phantom as a NIfTI-1 file, sound or changed."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from tests.conformance.robustness.analytic_phantom import Array, Grid, make_grid
from tests.conformance.robustness.judge import GroundTruth

GRID = make_grid((40, 44, 48), (2.6, 1.9, 1.7))
ANSWER, REFUSE, EITHER = (GroundTruth(e, GRID) for e in ("answer", "refuse", "either"))
#: Offset and format of the fields of the header (NIfTI-1, 348 bytes).
FIELDS = {
    "sizeof_hdr": (0, "i"),
    "dim": (40, "8h"),
    "datatype": (70, "h"),
    "bitpix": (72, "h"),
    "pixdim": (76, "8f"),
    "vox_offset": (108, "f"),
    "scl_slope": (112, "f"),
    "scl_inter": (116, "f"),
    "xyzt_units": (123, "b"),
    "qform_code": (252, "h"),
    "sform_code": (254, "h"),
    "quatern": (256, "3f"),
    "qoffset": (268, "3f"),
    "srow": (280, "12f"),
    "magic": (344, "4s"),
}
DATATYPES = {"i1": 256, "u1": 2, "i2": 4, "u2": 512, "i4": 8, "u4": 768, "i8": 1024, "f4": 16, "f8": 64}


@lru_cache(maxsize=1)
def sound_hu() -> NDArray[np.int16]:
    return GRID.hu()


def header_of(grid: Grid, kind: str = "i2") -> dict[str, tuple]:
    """Fields of a sound header: sform and qform agree; world axes are RAS."""
    ras = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine[:, [2, 1, 0, 3]]
    axes = ras[:3, :3] / np.linalg.norm(ras[:3, :3], axis=0)
    sign = 1.0 if np.linalg.det(axes) > 0 else -1.0
    axes = axes * (1, 1, sign)
    return {
        "sizeof_hdr": (348,),
        "dim": (3, *grid.shape_zyx[::-1], 1, 1, 1, 1),
        "datatype": (DATATYPES[kind],),
        "bitpix": (np.dtype(kind).itemsize * 8,),
        "pixdim": (sign, *grid.spacing_zyx_mm[::-1], 0, 0, 0, 0),
        "vox_offset": (352.0,),
        "scl_slope": (1.0,),
        "scl_inter": (0.0,),
        "xyzt_units": (2,),
        "qform_code": (1,),
        "sform_code": (1,),
        "quatern": tuple(_quaternion(axes)),
        "qoffset": tuple(ras[:3, 3]),
        "srow": tuple(ras[:3].reshape(-1)),
        "magic": (b"n+1\0",),
    }


def _quaternion(axes: Array) -> Array:
    """b, c, d of the rotation (3, 3), with a >= 0."""
    b, c, d, a = Rotation.from_matrix(axes).as_quat()
    return np.array([b, c, d]) * (1 if a >= 0 else -1)


def bytes_of(header: dict[str, tuple], order: str = "<") -> bytes:
    blob = bytearray(352)
    for name, values in header.items():
        offset, form = FIELDS[name]
        struct.pack_into(order + form, blob, offset, *values)
    return bytes(blob)


def write(
    folder: Path,
    voxels: NDArray,
    grid: Grid = GRID,
    *,
    file: str = "scan.nii",
    order: str = "<",
    spoil: Callable[[bytes], bytes] = bytes,
    pack: Callable[[bytes], bytes] | None = None,
    **changes: tuple,
) -> Path:
    """Write a file; `spoil` changes its bytes (before gzip), `changes` are fields of the header."""
    kind = np.dtype(voxels.dtype)
    blob = bytes_of({**header_of(grid, kind.str[1:]), **changes}, order)
    blob = spoil(blob + np.ascontiguousarray(voxels, dtype=kind.newbyteorder(order)).tobytes())
    pack = pack or (gzip.compress if file.endswith(".gz") else bytes)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(pack(blob))
    return folder / file
