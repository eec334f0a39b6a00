"""What a file says, read strictly and with no library of medical images: the second opinion on a mutant.

None means that the file contradicts itself or leaves something open, so that any answer to it is a guess.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.conformance.robustness.mhd_files import TYPES
from tests.conformance.robustness.nifti_files import DATATYPES, FIELDS

Read = tuple[NDArray, NDArray[np.float64]]


def read_metaimage(path: Path) -> Read | None:
    """Array [z, y, x] and its affine, or None."""
    try:
        return _metaimage(path)
    except (ValueError, KeyError, OSError, zlib.error, OverflowError):
        return None


def _metaimage(path: Path) -> Read | None:
    blob = path.read_bytes()
    found = re.search(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?\n", blob, re.MULTILINE)
    if not found:
        return None
    pairs = [line.partition("=") for line in blob[: found.end()].decode().splitlines()]
    header = {key.strip(): value.strip() for key, _, value in pairs}
    if len(header) != len(pairs):
        return None
    name = header["ElementDataFile"]
    body = blob[found.end() :] if name == "LOCAL" else (path.parent / Path(name).name).read_bytes()
    packed = header.get("CompressedData", "False") == "True"
    if packed:
        if header.get("CompressedDataSize", str(len(body))) != str(len(body)):
            return None
        stream = zlib.decompressobj()
        body = stream.decompress(body, 1 << 28)
        if not stream.eof or stream.unused_data:
            return None
    kinds = {f"MET_{word}": kind for kind, word in TYPES.items()}
    order = ">" if header.get("BinaryDataByteOrderMSB", "False") == "True" else "<"
    shape = [int(n) for n in header["DimSize"].split()][::-1]
    array = np.frombuffer(body, order + kinds[header["ElementType"]]).reshape(shape)
    spacing = np.array([float(w) for w in header["ElementSpacing"].split()])
    matrix = np.array([float(w) for w in header["TransformMatrix"].split()]).reshape(3, 3).T
    affine = np.eye(4)
    affine[:3, :3] = (matrix * spacing)[:, ::-1]
    affine[:3, 3] = [float(w) for w in header["Offset"].split()]
    sound = array.ndim == 3 and len(spacing) == 3 and np.all(spacing > 0) and np.all(np.isfinite(affine))
    return (array, affine) if sound and np.allclose(matrix.T @ matrix, np.eye(3), atol=5e-3) else None


def read_nifti(path: Path) -> Read | None:
    """Array [z, y, x] with its scale, and its affine in LPS, or None."""
    try:
        return _nifti(path.read_bytes())
    except (ValueError, KeyError, OSError, EOFError, zlib.error, struct.error, OverflowError):
        return None


def _nifti(blob: bytes) -> Read | None:
    if blob[:2] == b"\x1f\x8b":
        blob = gzip.decompress(blob)
    order = next((o for o in "<>" if struct.unpack_from(f"{o}i", blob)[0] == 348), "")
    if not order:
        return None
    h = {name: struct.unpack_from(order + form, blob, offset) for name, (offset, form) in FIELDS.items()}
    kinds = {code: kind for kind, code in DATATYPES.items()}
    kind = np.dtype(order + kinds[h["datatype"][0]])
    count, *dims = h["dim"]
    start = h["vox_offset"][0]
    if h["magic"][0] != b"n+1\0" or kind.itemsize * 8 != h["bitpix"][0] or not 352 <= start < len(blob) or start % 16:
        return None
    if (
        not 3 <= count <= 7
        or min(dims[:3]) < 1
        or any(n != 1 for n in dims[3:count])
        or h["xyzt_units"][0] & 7 not in (0, 2)
    ):
        return None
    array = np.frombuffer(blob[int(start) :], kind).reshape(dims[2::-1])
    affine = _nifti_affine(h)
    if affine is None:
        return None
    slope, inter = h["scl_slope"][0], h["scl_inter"][0]
    if math.isfinite(slope) and slope != 0:
        if not math.isfinite(inter):
            return None
        array = array * np.float64(slope) + np.float64(inter)
    elif not (slope == 0 or math.isnan(slope)):
        return None
    return array, (np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine)[:, [2, 1, 0, 3]]


def _nifti_affine(h: dict[str, tuple]) -> NDArray[np.float64] | None:
    """The one affine that sform, qform and pixdim agree on."""
    pixdim = np.array(h["pixdim"][1:4], dtype=np.float64)
    if not np.all(np.isfinite(pixdim)) or np.any(pixdim <= 0):
        return None
    said = []
    if h["sform_code"][0] > 0:
        said.append(np.vstack([np.reshape(h["srow"], (3, 4)), [0, 0, 0, 1]]).astype(np.float64))
    if h["qform_code"][0] > 0:
        b, c, d = (float(v) for v in h["quatern"])
        a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        if b * b + c * c + d * d > 1.001 or h["pixdim"][0] not in (-1, 0, 1):
            return None
        turn = np.array([
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ])  # fmt: skip
        affine = np.eye(4)
        affine[:3, :3] = turn * pixdim * (1, 1, -1 if h["pixdim"][0] < 0 else 1)
        affine[:3, 3] = h["qoffset"]
        said.append(affine)
    if not said or not all(np.all(np.isfinite(affine)) for affine in said):
        return None
    for affine in said:
        axes = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        agrees = np.allclose(affine, said[0], rtol=1e-3, atol=0.02)
        if not agrees or not np.allclose(axes.T @ axes, np.eye(3), atol=5e-3):
            return None
        if not np.allclose(np.linalg.norm(affine[:3, :3], axis=0), pixdim, rtol=1e-3):
            return None
    return said[0]
