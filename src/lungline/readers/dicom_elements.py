"""Headers of one series are nearly alike: what they share is understood once, by pydicom, and then recognised.

`walk` finds the elements of a file without understanding them, and only of a file in which nothing is unusual: every
other is left to pydicom, which also reads the first of each kind, headers and pixels. So what is read is what pydicom
reads, and a slice whose header says nothing new costs a tenth.
"""

import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.tag import Tag

_START_BYTES = 1 << 14  # holds most headers
_LONGEST_BYTES = 1 << 18
_META_LENGTH = b"\2\0\0\0UL\4\0"  # how the first element of a file begins: the length of group 2
_IMPLICIT = "1.2.840.10008.1.2"
_EXPLICIT = "1.2.840.10008.1.2.1"
_ENCAPSULATED = re.compile(r"1\.2\.840\.10008\.1\.2\.(?:4\.\d+|5)")
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FL FD IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_PIXELS, _ITEM, _ITEM_END, _SEQUENCE_END = 0x7FE00010, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_FIRST, _AFTER_META = 0x00080000, 0x00030000
_BEFORE_PIXELS = 0x7FE00000  # other forms of pixels
_END_OF_ITEM = b"\xfe\xff\x0d\xe0\0\0\0\0"
_NO_KIND = b"  "  # of an implicit element, whose tag tells it
_UNDEFINED = 0xFFFFFFFF
_DEEPEST = 8  # sequence within sequence
_INSTANCE, _POSITION = 0x00200013, 0x00200032
_FRAMES = 0x52009230  # says of each frame where it lies
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_SYNTAX = 0x00020010
_OF_ITS_OWN = (0x00020000, 0x00020003)  # length of the meta elements, and SOPInstanceUID
#: What pydicom looks at to decode pixels, with what we look at.
_OF_PIXELS = (
    "Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit",
    "PixelAspectRatio", "SpecificCharacterSet",
)  # fmt: skip
_WHOLE = re.compile(rb" *[+-]?[0-9]{1,9} *\Z")
_NUMBER = rb" *[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *"  # no two ways to match one text
_LONGEST_POINT = 3 * 17 + 16  # bytes of three numbers of 16, and some blanks
_POINT = re.compile(_NUMBER + rb"\\" + _NUMBER + rb"\\" + _NUMBER + rb"\Z")


class Place(NamedTuple):
    """Where the pixels of a slice lie: bytes `start` to `end`, which is the end of its file, as it then was."""

    start: int
    end: int
    mtime_ns: int
    alike: "Alike"


class Alike:
    """Slices whose headers say the same, but for where each lies.

    `found` is what the first of them was understood as, `stored` how their pixels are stored, once pydicom and the
    short way have agreed on those of one.
    """

    def __init__(self) -> None:
        self.found: Any = None
        self.stored: Any = None


class Elements(NamedTuple):
    """The elements of a file before its pixels: kind and bytes of each; where the pixels begin, and their length."""

    syntax: str
    values: dict[int, tuple[bytes, bytes]]
    pixels_start: int
    pixels_length: int


class Known:
    """What has been understood of the headers of a folder; `tags` are the elements that matter, by keyword."""

    def __init__(self, tags: Sequence[str]) -> None:
        self._tags = sorted({int(Tag(name)) for name in (*tags, *_OF_PIXELS)} - {_INSTANCE, _POSITION})
        self._alike: dict[tuple[Any, ...], Alike] = {}

    def alike(self, path: Path) -> tuple[Alike, int, tuple[float, ...], Place | None] | None:
        """The slices that a file is one of, its InstanceNumber and ImagePositionPatient, and where its pixels lie.

        None for a file that pydicom must read by itself.
        """
        with open(path, "rb") as file:
            state, start = os.fstat(file.fileno()), file.read(_START_BYTES)
            found = walk(start)
            if found is None and len(start) == _START_BYTES and start[128:132] == b"DICM":
                found = walk(start + file.read(_LONGEST_BYTES))
        if found is None or _FRAMES in found.values or _DEFLATED in start[:2048]:
            return None
        if (instance := _instance(found)) is None or (position := _position(found)) is None:
            return None
        values = found.values
        meta = tuple((tag, *value) for tag, value in values.items() if tag < _AFTER_META and tag not in _OF_ITS_OWN)
        kinds = values[_INSTANCE][0], values[_POSITION][0], values[_PIXELS][0]
        key = (meta, kinds, found.pixels_length, tuple(values.get(tag) for tag in self._tags))
        alike = self._alike.setdefault(key, Alike())
        whole = found.pixels_length == _UNDEFINED or found.pixels_start + found.pixels_length == state.st_size
        place = Place(found.pixels_start, state.st_size, state.st_mtime_ns, alike) if whole else None
        return alike, instance, position, place


def _instance(found: Elements) -> int | None:
    kind, value = found.values.get(_INSTANCE, (b"", b""))
    return int(value) if kind in (b"IS", _NO_KIND) and _WHOLE.match(value) else None


def _position(found: Elements) -> tuple[float, ...] | None:
    kind, value = found.values.get(_POSITION, (b"", b""))
    if kind not in (b"DS", _NO_KIND) or len(value) > _LONGEST_POINT or not _POINT.match(value):
        return None
    return tuple(map(float, value.split(b"\\")))


def walk(content: bytes) -> Elements | None:
    """The elements at the beginning of a file, up to its pixels; None if anything is missing, unusual or damaged."""
    if content[128:132] != b"DICM" or content[132:140] != _META_LENGTH:
        return None
    end = 144 + int.from_bytes(content[140:144], "little")
    try:
        meta, at = _walk(content, 144, end, implicit=False)
        syntax = meta[_SYNTAX][1].rstrip(b"\0").decode("ascii")
        implicit, encapsulated = syntax == _IMPLICIT, bool(_ENCAPSULATED.fullmatch(syntax))
        if at != end or max(meta) >= _AFTER_META or not (implicit or encapsulated or syntax == _EXPLICIT):
            return None
        if implicit and content[end + 4 : end + 6].isalpha():  # another encoding than the file says
            return None
        values, at = _walk(content, end, len(content), implicit=implicit)
        group, element, kind, length = struct.unpack_from("<HH2sH", content, at)
        if group << 16 | element != _PIXELS or min(values) < _FIRST:
            return None
        start = at + 8
        if implicit:
            kind, length = _NO_KIND, struct.unpack_from("<L", content, at + 4)[0]
        elif kind in (b"OW", b"OB"):
            start, length = at + 12, struct.unpack_from("<L", content, at + 8)[0]
        else:
            return None
    except (struct.error, KeyError, ValueError):
        return None
    if (length == _UNDEFINED) != encapsulated:
        return None
    return Elements(syntax, meta | values | {_PIXELS: (kind, b"")}, start, length)


def _walk(
    content: bytes, at: int, end: int, *, implicit: bool, depth: int = 0
) -> tuple[dict[int, tuple[bytes, bytes]], int]:
    """Rising elements from `at` on, kind and bytes of each, and where the pixels, the end or that of an item come.

    `ValueError` or `struct.error` for what is left to pydicom.
    """
    values: dict[int, tuple[bytes, bytes]] = {}
    last, unpack = 0, struct.unpack_from
    while at < end:
        group, element, kind, length = unpack("<HH2sH", content, at)
        tag = group << 16 | element
        if tag >= _BEFORE_PIXELS and (not depth or tag == _ITEM_END):
            break
        if not last < tag < _BEFORE_PIXELS:
            raise ValueError("elements do not rise")
        start, last = at + 8, tag
        if implicit:
            kind, length = _NO_KIND, unpack("<L", content, at + 4)[0]
        elif kind in _LONG_VRS:
            start, length = at + 12, unpack("<L", content, at + 8)[0]
        elif kind not in _SHORT_VRS:
            raise ValueError("no value representation")
        if length != _UNDEFINED:
            at = start + length
        elif implicit or kind == b"SQ":
            at = _after_sequence(content, start, end, implicit, depth + 1)
        else:
            raise ValueError("no length")
        if at > end:
            raise ValueError("beyond the end")
        values[tag] = kind, content[start:at]
    return values, at


def _after_sequence(content: bytes, at: int, end: int, implicit: bool, depth: int) -> int:
    """Where a sequence of undefined length ends, whose first item begins at `at`."""
    if depth > _DEEPEST:
        raise ValueError("too deep")
    while True:
        group, element, length = struct.unpack_from("<HHL", content, at)
        tag, at = group << 16 | element, at + 8
        if tag == _SEQUENCE_END and not length:
            return at
        if tag != _ITEM:
            raise ValueError("no item")
        if length == _UNDEFINED:
            at = _walk(content, at, end, implicit=implicit, depth=depth)[1]
            if content[at : at + 8] != _END_OF_ITEM:
                raise ValueError("an item without end")
            at += 8
        else:
            at += length
