"""A strict reader of MetaImage files (.mhd with .raw or .zraw, .mha), the format of LUNA16.

Files come from others, so nothing is guessed: keys are allow-listed, the pixels lie in the header's own
folder, their number is exact, a compressed stream must reach its end and pass its checksum, and limits are
checked before memory is asked for.
"""

import math
import re
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungline.errors import Quarantine
from lungline.readers.raw import RawImage, check_affine, check_size

_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_USED = {
    "ObjectType", "NDims", "BinaryData", "BinaryDataByteOrderMSB", "ElementByteOrderMSB", "CompressedData",
    "CompressedDataSize", "TransformMatrix", "Rotation", "Orientation", "Offset", "Position", "Origin",
    "ElementSpacing", "DimSize", "ElementType", "ElementNumberOfChannels", "HeaderSize", "ElementDataFile",
}  # fmt: skip
_HARMLESS = {
    "AnatomicalOrientation", "CenterOfRotation", "Color", "Comment", "CompressionLevel", "DistanceUnits",
    "ElementMax", "ElementMin", "ElementSize", "ElementSizeValid", "ID", "ITK_InputFilterName", "Modality", "Name",
    "ObjectSubType", "ParentID", "TransformType",
}  # fmt: skip
#: What must be said with one certain value, if it is said.
_ONE_VALUE = {
    "ObjectType": "Image", "NDims": "3", "BinaryData": "True", "ElementNumberOfChannels": "1", "HeaderSize": "0",
}  # fmt: skip
_MAX_HEADER_BYTES = 16384
_MAX_HEADER_LINES = 64
_CHUNK_BYTES = 1 << 20
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")


def read_metaimage(path: Path) -> RawImage:
    """Read a MetaImage, in the type of the file and native byte order.

    `Quarantine` with `Q_BAD_MHD` header or data not as they should be; `Q_LIMIT`, `Q_BAD_SPACING`, `Q_BAD_DIRECTION`,
    `Q_NO_GEOMETRY`.
    """
    path = Path(path).resolve()
    with open(path, "rb") as handle:
        header = _read_header(handle)
        columns, rows, slices = (int(n) for n in _numbers(header, "DimSize", integral=True))
        dtype = _dtype(header)
        check_size(columns, rows, slices, dtype.itemsize)
        affine = _affine(header)
        check_affine(affine)
        shape = (slices, rows, columns)
        if header["ElementDataFile"].upper() == "LOCAL":
            n_bytes = path.stat().st_size - handle.tell()
            return RawImage(_read_pixels(handle, n_bytes, header, dtype, shape), affine)
    data = data_file(path, header["ElementDataFile"])
    with open(data, "rb") as pixels:
        return RawImage(_read_pixels(pixels, data.stat().st_size, header, dtype, shape), affine)


def files_of(path: Path) -> list[Path]:
    """The files that a MetaImage consists of, as far as its header can be read."""
    path = Path(path).resolve()
    with suppress(Quarantine):
        if name := data_file_name(path):
            return [path, data_file(path, name)]
    return [path]


def data_file_name(path: Path) -> str:
    """What a header calls the file of its pixels; "" where they follow in the same file, or the header is bad."""
    try:
        with open(path, "rb") as handle:
            name = _read_header(handle)["ElementDataFile"]
    except Quarantine:
        return ""
    return "" if name.upper() == "LOCAL" else name


def data_file(header_path: Path, name: str) -> Path:
    """The pixel file beside a header; nothing outside the header's own folder is ever opened."""
    folder = header_path.parent
    wanted = folder / name
    if Path(name).name != name or name in ("", ".", "..") or "\\" in name or "\0" in name:
        raise Quarantine("Q_BAD_MHD", "ElementDataFile is not a plain file name")
    try:
        found = wanted.resolve()
    except (OSError, RuntimeError):  # links in a circle, a name that is too long
        found = folder
    if found.parent != folder or not found.is_file():
        raise Quarantine("Q_BAD_MHD", "the pixel file named in the header is not a file in the header's folder")
    return found


def _read_header(handle: BinaryIO) -> Mapping[str, str]:
    """The header's keys. `ElementDataFile` ends it: what comes after it, where the handle stands then, are pixels."""
    header: dict[str, str] = {}
    for number in range(1, _MAX_HEADER_LINES + 1):
        line = handle.readline(_MAX_HEADER_BYTES - handle.tell())
        key, value = _key_value(line, number)
        if key in header:
            raise Quarantine("Q_BAD_MHD", f"line {number} of the header repeats {key}")
        header[key] = value
        if key == "ElementDataFile":
            _check_words(header)
            return header
        if not line.endswith(b"\n"):
            break
    raise Quarantine("Q_BAD_MHD", "the header does not end with ElementDataFile")


def _key_value(line: bytes, number: int) -> tuple[str, str]:
    try:
        key, equals, value = line.decode("utf-8").partition("=")
    except UnicodeDecodeError:
        raise Quarantine("Q_BAD_MHD", f"line {number} of the header is not text") from None
    key, value = key.strip(), value.strip()
    if not equals or key not in _USED | _HARMLESS:
        raise Quarantine("Q_BAD_MHD", f"line {number} of the header holds no key that is known")
    return key, value


def _check_words(header: Mapping[str, str]) -> None:
    for key, value in _ONE_VALUE.items():
        if header.get(key, value) != value:
            raise Quarantine("Q_BAD_MHD", f"{key} must be {value}")
    for key in ("NDims", "DimSize", "ElementType"):
        if key not in header:
            raise Quarantine("Q_BAD_MHD", f"{key} is missing")


def _numbers(header: Mapping[str, str], key: str, count: int = 3, *, integral: bool = False) -> list[float]:
    words = header[key].split()
    whole = all(word.lstrip("+-").isdecimal() and len(word) < 12 for word in words)
    if len(words) != count or (integral and not whole):
        raise Quarantine("Q_BAD_MHD", f"{key} must hold {count} {'whole ' if integral else ''}numbers")
    if not all(_NUMBER.match(word) for word in words):
        raise Quarantine("Q_BAD_SPACING", f"{key} holds something that is not a finite number")
    return [float(word) for word in words]


def _first_of(header: Mapping[str, str], *keys: str) -> str:
    """The one synonym that is there; LUNA16 and ITK write the first."""
    found = [key for key in keys if key in header]
    if len(found) != 1:
        problem = "is missing" if not found else "stands there more than once, as a synonym"
        raise Quarantine("Q_NO_GEOMETRY", f"{keys[0]} {problem}")
    return found[0]


def _affine(header: Mapping[str, str]) -> NDArray[np.float64]:
    """Index (i, j, k) to world: the matrix lists the unit vectors of i, j and k one after the other."""
    directions = _numbers(header, _first_of(header, "TransformMatrix", "Rotation", "Orientation"), 9)
    origin = _numbers(header, _first_of(header, "Offset", "Position", "Origin"))
    spacing = _numbers(header, _first_of(header, "ElementSpacing"))
    if min(spacing) <= 0:
        raise Quarantine("Q_BAD_SPACING", f"ElementSpacing is {spacing}; it must be positive")
    cosines = np.array(directions).reshape(3, 3).T
    if not np.allclose(np.linalg.norm(cosines, axis=0), 1, atol=2e-3):
        raise Quarantine("Q_BAD_DIRECTION", "the rows of TransformMatrix are not of length 1")
    affine = np.eye(4)
    affine[:3, :3] = cosines * spacing
    affine[:3, 3] = origin
    return affine


def _flag(header: Mapping[str, str], key: str) -> bool:
    word = header.get(key, "False")
    if word not in ("True", "False"):
        raise Quarantine("Q_BAD_MHD", f"{key} must be True or False")
    return word == "True"


def _dtype(header: Mapping[str, str]) -> np.dtype:
    if header["ElementType"] not in _TYPES:
        raise Quarantine("Q_BAD_MHD", f"ElementType must be one of {', '.join(_TYPES)}")
    most_significant_first = _flag(header, "BinaryDataByteOrderMSB") or _flag(header, "ElementByteOrderMSB")
    return np.dtype((">" if most_significant_first else "<") + _TYPES[header["ElementType"]])


def _read_pixels(
    handle: BinaryIO, n_bytes: int, header: Mapping[str, str], dtype: np.dtype, shape: tuple[int, ...]
) -> NDArray:
    """Exactly the pixels that the header announces, from the `n_bytes` that follow in `handle`."""
    compressed = _flag(header, "CompressedData")
    wanted = math.prod(shape) * dtype.itemsize
    if not compressed and n_bytes != wanted:
        raise Quarantine("Q_BAD_MHD", f"the pixel file holds {n_bytes} bytes; the header announces {wanted}")
    if compressed and header.get("CompressedDataSize", str(n_bytes)) != str(n_bytes):
        raise Quarantine("Q_BAD_MHD", f"the pixel file holds {n_bytes} bytes, not CompressedDataSize")
    array: NDArray = np.empty(wanted, dtype=np.uint8)
    if compressed:
        _inflate_into(array.data, lambda: handle.read(_CHUNK_BYTES))
    elif handle.readinto(array.data) != wanted:  # type: ignore[attr-defined]  # cut while it is read
        raise Quarantine("Q_BAD_MHD", "the pixels end too early")
    return array.view(dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _inflate_into(target: memoryview, read: Callable[[], bytes]) -> None:
    """Inflate a zlib stream that must fill `target` exactly, end there, and pass its checksum."""
    stream = zlib.decompressobj()
    filled = 0
    try:
        while not stream.eof:
            piece = stream.unconsumed_tail or read()
            out = stream.decompress(piece, min(_CHUNK_BYTES, len(target) - filled + 1))
            if not piece and not out:
                raise Quarantine("Q_BAD_MHD", "the compressed pixels end too early")
            if filled + len(out) > len(target):
                raise Quarantine("Q_BAD_MHD", "the compressed pixels are more than the header announces")
            target[filled : filled + len(out)] = out
            filled += len(out)
    except zlib.error:
        raise Quarantine("Q_BAD_MHD", "the compressed pixels are damaged (zlib)") from None
    if filled != len(target) or stream.unused_data or read():
        raise Quarantine("Q_BAD_MHD", "the compressed pixels do not end where the header says")
