"""Write the phantom as a MetaImage file (.mhd with .raw or .zraw, .mha), sound or changed."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conformance.robustness.analytic_phantom import Grid, make_grid
from tests.conformance.robustness.judge import GroundTruth

GRID = make_grid((40, 44, 48), (2.6, 1.9, 1.7))
ANSWER, REFUSE, EITHER = (GroundTruth(e, GRID) for e in ("answer", "refuse", "either"))
TYPES = {
    "i1": "CHAR",
    "u1": "UCHAR",
    "i2": "SHORT",
    "u2": "USHORT",
    "i4": "INT",
    "u4": "UINT",
    "f4": "FLOAT",
    "f8": "DOUBLE",
}


@lru_cache(maxsize=1)
def sound_hu() -> NDArray[np.int16]:
    return GRID.hu()


def header_of(grid: Grid, packed: int | None = None, data: str = "scan.raw", kind: str = "i2") -> dict[str, str]:
    """Keys and values of a sound header; `packed` is the number of compressed bytes."""
    axes = grid.affine[:3, :3] / grid.spacing_zyx_mm
    words = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": str(packed is not None),
        "TransformMatrix": " ".join(f"{c:.12g}" for c in axes[:, ::-1].T.reshape(-1)),
        "Offset": " ".join(f"{c:.8g}" for c in grid.affine[:3, 3]),
        "CenterOfRotation": "0 0 0",
        "ElementSpacing": " ".join(f"{s:.8g}" for s in grid.spacing_zyx_mm[::-1]),
        "DimSize": " ".join(map(str, grid.shape_zyx[::-1])),
        "ElementType": f"MET_{TYPES[kind]}",
        "ElementDataFile": data,
    }
    if packed is not None:
        words["CompressedDataSize"] = str(packed)
    words["ElementDataFile"] = words.pop("ElementDataFile")
    return words


def text_of(header: dict[str, str | None], end: str = "\n") -> bytes:
    return "".join(f"{key} = {value}{end}" for key, value in header.items() if value is not None).encode()


def write(
    folder: Path,
    voxels: NDArray,
    grid: Grid = GRID,
    *,
    compressed: bool = False,
    local: bool = False,
    spoil: Callable[[bytes], bytes] = bytes,
    end: str = "\n",
    **changes: str | None,
) -> Path:
    """Write header and pixels; `spoil` changes the bytes of the pixel file, `changes` the header."""
    kind = np.dtype(voxels.dtype)
    raw = np.ascontiguousarray(voxels).tobytes()
    blob = zlib.compress(raw, 6) if compressed else raw
    name = "LOCAL" if local else "scan.zraw" if compressed else "scan.raw"
    header = header_of(grid, len(blob) if compressed else None, name, kind.str[1:])
    if kind.str[0] == ">":
        header["BinaryDataByteOrderMSB"] = "True"
    text = text_of({**header, **changes}, end)
    blob = spoil(blob)
    folder.mkdir(parents=True, exist_ok=True)
    if local:
        path = folder / "scan.mha"
        path.write_bytes(text + blob)
        return path
    (folder / name).write_bytes(blob)
    path = folder / "scan.mhd"
    path.write_bytes(text)
    return path
