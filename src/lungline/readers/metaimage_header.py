"""The text header of a MetaImage: what says where and how the voxels are stored is read strictly, the rest passed over.

Programs add keys of their own, and whole DICOM headers (`0010|0020 = ...`). What they say is no matter of the image,
unless they say that it is no CT.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.raw import MAX_SLICES

TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2",
    "MET_INT": "i4", "MET_UINT": "u4", "MET_LONG": "i4", "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8", "MET_ULONG_LONG": "u8", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_ORDERS = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
_INTENSITY = {"ElementToIntensityFunctionSlope": 1.0, "ElementToIntensityFunctionOffset": 0.0}
_MODALITY, _UNITS, _DICOM_MODALITY, _DICOM_RESCALE = "Modality", "DistanceUnits", "0008|0060", "0028|1054"
#: What says something of geometry or storage, or of what the image is; each may stand there once.
_USED = {
    "ObjectType", "NDims", "BinaryData", *_ORDERS, "CompressedData", "CompressedDataSize", "TransformMatrix",
    "Rotation", "Orientation", "Offset", "Position", "Origin", "ElementSpacing", "DimSize", "ElementType",
    "ElementNumberOfChannels", "HeaderSize", "HeaderSizePerSlice", "ElementDataFile", *_INTENSITY, _MODALITY, _UNITS,
    _DICOM_MODALITY, _DICOM_RESCALE,
}  # fmt: skip
#: What must be said with one certain value, if it is said.
_ONE_VALUE = {"ObjectType": "Image", "NDims": "3", "ElementNumberOfChannels": "1", "HeaderSizePerSlice": "0"}
_FLAGS = dict.fromkeys(("True", "true", "TRUE", "1"), True) | dict.fromkeys(("False", "false", "FALSE", "0"), False)
_MODALITIES = {"MR", "NM", "US", "OTHER", "PT", "CR", "DX", "MG", "XA", "RF", "SEG", "RTSTRUCT", "RTDOSE", "SC"}
_LENGTHS = {"um": "micrometres", "cm": "centimetres", "m": "metres", "µm": "micrometres"}
_MAX_HEADER_BYTES = limits.MAX_META_HEADER_BYTES
_MAX_HEADER_LINES = 2048
_MAX_NAMES_BYTES = 1 << 21  # of a list of data files
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\Z")
_LINE = re.compile(r"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*\Z", re.DOTALL)
_PATTERN = re.compile(r"(?P<before>[^%]*)%(?P<width>0?\d{0,2})d(?P<after>[^%]*?)(?P<range>(?:\s+\d{1,9}){0,3})\Z")
_LIST = re.compile(r"LIST(?:\s+(?P<part>2D?))?\Z")


@dataclass(frozen=True)
class MetaHeader:
    """What a header says: its keys, and the names of the files with the pixels, none where they follow the header."""

    keys: Mapping[str, str]
    data_files: tuple[str, ...]
    #: Whether each of them holds one slice.
    is_list: bool
    #: Bytes of the header, behind which the pixels may follow.
    size: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (k, j, i)."""
        columns, rows, slices = (int(n) for n in self._numbers("DimSize", integral=True))
        return slices, rows, columns

    @property
    def dtype(self) -> np.dtype:
        """Type of the voxels as they are stored."""
        if self.keys["ElementType"] not in TYPES:
            raise Quarantine("Q_BAD_MHD", f"ElementType must be one of {', '.join(TYPES)}")
        said = {self.flag(key) for key in _ORDERS if key in self.keys}
        if len(said) > 1:
            raise Quarantine("Q_BAD_MHD", f"{' and '.join(_ORDERS)} contradict one another")
        return np.dtype((">" if True in said else "<") + TYPES[self.keys["ElementType"]])

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4): index (i, j, k, 1) to world, mm. The matrix lists the unit vectors of i, j and k one by one."""
        directions = self._numbers(self._one_of("TransformMatrix", "Rotation", "Orientation"), 9)
        origin = self._numbers(self._one_of("Offset", "Position", "Origin"))
        spacing = self._numbers(self._one_of("ElementSpacing"))
        if min(spacing) <= 0:
            raise Quarantine("Q_BAD_SPACING", f"ElementSpacing is {spacing}; it must be positive")
        cosines = np.array(directions).reshape(3, 3).T
        if not np.allclose(np.linalg.norm(cosines, axis=0), 1, atol=2e-3):
            raise Quarantine("Q_BAD_DIRECTION", "the rows of TransformMatrix are not of length 1")
        affine = np.eye(4)
        affine[:3, :3] = cosines * spacing
        affine[:3, 3] = origin
        return affine

    @property
    def skipped_bytes(self) -> int:
        """Bytes of a pixel file before the pixels; -1: however many there are."""
        word = self.keys.get("HeaderSize", "0")
        if not re.fullmatch(r"-1|[0-9]{1,9}", word):
            raise Quarantine("Q_BAD_MHD", "HeaderSize must be -1 or a number of bytes")
        return int(word)

    def flag(self, key: str) -> bool:
        """What a key says that is true or false; false where it is not there."""
        word = self.keys.get(key, "False")
        if word not in _FLAGS:
            raise Quarantine("Q_BAD_MHD", f"{key} must be True or False")
        return _FLAGS[word]

    def _numbers(self, key: str, count: int = 3, *, integral: bool = False) -> list[float]:
        words = self.keys[key].split()
        whole = all(re.fullmatch(r"[+-]?\d{1,11}", word, re.ASCII) for word in words)
        if len(words) != count or (integral and not whole):
            raise Quarantine("Q_BAD_MHD", f"{key} must hold {count} {'whole ' if integral else ''}numbers")
        if not all(word.isascii() and _NUMBER.match(word) for word in words):
            raise Quarantine("Q_BAD_SPACING", f"{key} holds something that is not a finite number")
        return [float(word) for word in words]

    def _one_of(self, *keys: str) -> str:
        """The synonym that is there; several must say the same."""
        found = [key for key in keys if key in self.keys]
        if not found:
            raise Quarantine("Q_NO_GEOMETRY", f"{keys[0]} is missing")
        if len({tuple(self.keys[key].split()) for key in found}) > 1:
            raise Quarantine("Q_NO_GEOMETRY", f"{' and '.join(found)} contradict one another")
        return found[0]


def read_meta_header(path: Path) -> MetaHeader:
    """The header of a MetaImage.

    `Quarantine` with `Q_BAD_MHD` where it is none, or stores voxels in a way that is not read; `Q_NO_CT_SERIES` where
    it says of another modality; `Q_BAD_SPACING` where lengths are not in mm.
    """
    with open(path, "rb") as handle:
        keys = _read_keys(handle)
        size = handle.tell()
        _check_words(keys)
        names, is_list = _data_files(keys, handle)
        return MetaHeader(keys, tuple(names), is_list, size)


def _read_keys(handle: BinaryIO) -> dict[str, str]:
    """The keys that are used. `ElementDataFile` ends the header, and the handle stands behind it then."""
    keys: dict[str, str] = {}
    in_text = False  # a value that is passed over may have several lines
    for number in range(1, _MAX_HEADER_LINES + 1):
        line = handle.readline(_MAX_HEADER_BYTES - handle.tell())
        found = _LINE.match(line.decode("utf-8", errors="surrogateescape"))
        key, value = found.groups() if found else ("", "")
        if key in _USED:
            if key in keys:
                raise Quarantine("Q_BAD_MHD", f"line {number} of the header repeats {key}")
            keys[key] = value
            if key == "ElementDataFile":
                return keys
        elif not (_is_foreign(key, number) or in_text):
            raise Quarantine("Q_BAD_MHD", f"line {number} of the header holds no key and value")
        in_text = key not in _USED
        if not line.endswith(b"\n"):
            break
    raise Quarantine("Q_BAD_MHD", "the header does not end with ElementDataFile")


def _is_foreign(key: str, number: int) -> bool:
    """Whether a word is a key that is passed over, and no misspelling of one that is used."""
    if meant := _ALIKE.get(_plain(key)):
        raise Quarantine("Q_BAD_MHD", f"line {number} of the header holds a key that is nearly {meant}")
    return bool(key) and key.isprintable()


def _plain(key: str) -> str:
    return re.sub(r"[^a-z0-9]", "", key.casefold())


_ALIKE = {_plain(key): key for key in _USED}


def _check_words(keys: Mapping[str, str]) -> None:
    for key, value in _ONE_VALUE.items():
        if keys.get(key, value) != value:
            raise Quarantine("Q_BAD_MHD", f"{key} must be {value}")
    if not _FLAGS.get(keys.get("BinaryData", "True"), False):
        raise Quarantine("Q_BAD_MHD", "BinaryData must be True")
    for key in ("NDims", "DimSize", "ElementType"):
        if key not in keys:
            raise Quarantine("Q_BAD_MHD", f"{key} is missing")
    for key, neutral in _INTENSITY.items():
        word = keys.get(key, f"{neutral}")
        if not _NUMBER.match(word) or float(word) != neutral:
            raise Quarantine("Q_BAD_MHD", f"{key} is not {neutral:g}, and programs do not agree on what it means")
    _check_meaning(keys)


def _check_meaning(keys: Mapping[str, str]) -> None:
    """The image must be a CT in HU, and lengths in mm, where that is said."""
    for key in (_MODALITY, _DICOM_MODALITY):
        word = keys.get(key, "CT").removeprefix("MET_MOD_")
        if word not in ("CT", "UNKNOWN", "", "?"):
            found = word if word in _MODALITIES else "none that is known"
            raise Quarantine("Q_NO_CT_SERIES", f"{key} is {found}, not CT")
    if keys.get(_DICOM_RESCALE, "HU") not in ("HU", "US", ""):
        raise Quarantine("Q_NO_CT_SERIES", f"{_DICOM_RESCALE} (RescaleType) is not HU")
    unit = keys.get(_UNITS, "mm").removeprefix("MET_DISTANCE_UNITS_").lower()
    if unit not in ("mm", "millimeter", "millimeters", "unknown", "?", ""):
        raise Quarantine("Q_BAD_SPACING", f"DistanceUnits are {_LENGTHS.get(unit, 'none that is known')}, not mm")


def _data_files(keys: Mapping[str, str], handle: BinaryIO) -> tuple[list[str], bool]:
    """The names of the files with the pixels, and whether each holds one slice."""
    name = keys["ElementDataFile"]
    if name.upper() == "LOCAL":
        return [], False
    if name.startswith("LIST") and name.split()[0] == "LIST":
        if not _LIST.match(name):
            raise Quarantine("Q_BAD_MHD", "a LIST of files is read with one slice a file (LIST, LIST 2D)")
        text = handle.read(_MAX_NAMES_BYTES + 1)
        if len(text) > _MAX_NAMES_BYTES:
            raise Quarantine("Q_LIMIT", f"the list of pixel files has more than {_MAX_NAMES_BYTES} bytes")
        lines = text.decode("utf-8", errors="surrogateescape").splitlines()
        return [line.strip() for line in lines if line.strip()] or [""], True
    if found := _PATTERN.match(name):
        return _of_pattern(found, keys), True
    return [name], False


def _of_pattern(found: re.Match[str], keys: Mapping[str, str]) -> list[str]:
    """The names that `slice%03d.raw FIRST LAST STEP` means; without numbers, from 1 to the number of slices."""
    words = keys["DimSize"].split()
    slices = int(words[2]) if len(words) == 3 and words[2].isdecimal() and len(words[2]) < 6 else 1
    given = [int(word) for word in found["range"].split()]
    first, last, step = (*given, *(1, slices, 1)[len(given) :])
    numbers = range(first, last + 1, step) if step > 0 else range(0)
    if not 0 < len(numbers) <= MAX_SLICES:
        raise Quarantine("Q_BAD_MHD", "the numbers behind the pattern of ElementDataFile count no slices")
    return [f"{found['before']}{number:{found['width']}d}{found['after']}" for number in numbers]
