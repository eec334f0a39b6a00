"""Whether a file is DICOM, seen at its first bytes, with or without the preamble that a file should have, or gzipped.

Old software and careless exports leave out the 128 bytes and the mark, or even the file's own elements (group 2). Such
a file counts where it begins with an element of these groups, as DICOM would write it; nothing else is forced.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.census import kind_of_file

START_BYTES = 132
_GZIP = b"\x1f\x8b"
_PACKED_START_BYTES = 4096  # of a gzipped file: enough to unpack its first bytes
_MAX_UNPACKED_BYTES = limits.MAX_HEADER_BYTES
_MARK = b"DICM"
_META, _FIRST = 0x0002, 0x0008  # groups that a file without preamble begins with
_TEXT_VRS = {b"CS", b"UI", b"UL", b"DA", b"TM", b"SH", b"LO", b"IS", b"DS", b"PN", b"DT", b"AE", b"AS", b"US"}
_LONG_VRS = {b"OB", b"OW", b"SQ", b"UN", b"UT"}
_LONGEST_FIRST = 1024  # bytes of the first element
_SUFFIXES = (".dcm", ".dicom", ".ima", ".dic")


def start_of_file(path: Path) -> bytes:
    """What the mark of DICOM is looked for in; nothing of a file that cannot be read."""
    with suppress(OSError):
        if path.is_file():  # a pipe would never end
            with open(path, "rb") as handle:
                return start_of_stream(handle)
    return b""


def start_of_stream(stream: IO[bytes]) -> bytes:
    """The first bytes of an open file, unpacked if it is gzipped."""
    start = stream.read(START_BYTES)
    if start[:2] == _GZIP and start[128:] != _MARK:
        with suppress(zlib.error):
            packed = start + stream.read(_PACKED_START_BYTES)
            return zlib.decompressobj(wbits=31).decompress(packed, START_BYTES)
    return start


def gunzipped(stream: IO[bytes]) -> BinaryIO:
    """An open file at its start, unpacked if it is gzipped; `Quarantine` with `Q_LIMIT` if that does not stay small."""
    start = stream.read(START_BYTES)
    stream.seek(0)
    if start[:2] != _GZIP or start[128:] == _MARK:
        return cast(BinaryIO, stream)
    with stream, gzip.GzipFile(fileobj=stream) as packed:
        content = packed.read(_MAX_UNPACKED_BYTES + 1)
    if len(content) > _MAX_UNPACKED_BYTES:
        raise Quarantine("Q_LIMIT", f"a gzipped DICOM file grows beyond {_MAX_UNPACKED_BYTES} bytes")
    return io.BytesIO(content)


class Counted:
    """An open file of which so many bytes are read: a `ValueError` before more are asked for.

    A header may claim elements of gigabytes, which take no room in a sparse file and much in memory.
    """

    def __init__(self, stream: BinaryIO, most_bytes: int = limits.MAX_HEADER_BYTES) -> None:
        self._stream, self._left, self._most = stream, most_bytes, most_bytes
        self.seek, self.tell, self.close = stream.seek, stream.tell, stream.close

    def read(self, size: int = -1) -> bytes:
        if size > self._left:
            at = self._stream.tell()  # the end of the file may come before
            size = min(size, self._stream.seek(0, 2) - at)
            self._stream.seek(at)
        content = b"" if size > self._left else self._stream.read(size if size >= 0 else self._left + 1)
        self._left -= max(len(content), size)
        if self._left < 0:
            raise ValueError(f"a header of more than {self._most} bytes")
        return content


def is_dicom(path: Path, start_of: Callable[[Path], bytes] = start_of_file) -> bool:
    """Whether a file begins as DICOM; a DICOMDIR, which is only a list, does not count."""
    return path.name.upper() != "DICOMDIR" and begins_as_dicom(start_of(path))


def looks_like_dicom(files: Sequence[Path], start_of: Callable[[Path], bytes] = start_of_file) -> bool:
    """Whether the files of one folder are a scan: by a name in .dcm or .ima, else by the first bytes of any of them."""
    if any(path.suffix.lower() in _SUFFIXES for path in files):
        return True
    likely_first = sorted(files, key=lambda path: (kind_of_file(path.name) != "", path.name))
    return any(is_dicom(path, start_of) for path in likely_first)


def beside_dicom(files: Sequence[Path], start_of: Callable[[Path], bytes] = start_of_file) -> list[str]:
    """The names of files beside DICOM ones, without those that are DICOM under a name of another kind, as `a.img`."""
    return [file.name for file in files if not kind_of_file(file.name) or not is_dicom(file, start_of)]


def begins_as_dicom(start: bytes) -> bool:
    """Whether these are the first bytes of a DICOM file."""
    return start[128:132] == _MARK or lacks_preamble(start)


def lacks_preamble(start: bytes) -> bool:
    """Whether these first bytes are those of a DICOM file that begins with its elements."""
    return start[128:132] != _MARK and any(_begins_with_element(start, order) for order in "<>")


def _begins_with_element(start: bytes, order: str) -> bool:
    """Whether an element of group 2 or 8 stands there, followed by one of the same group where that can be seen."""
    if len(start) < 16:
        return False
    group, element = struct.unpack_from(f"{order}HH", start)
    if group not in (_META, _FIRST) or element > 0x0100:
        return False
    kind = start[4:6]
    if kind in _TEXT_VRS:
        at, length = 8, struct.unpack_from(f"{order}H", start, 6)[0]
    elif kind in _LONG_VRS and start[6:8] == b"\0\0":
        at, length = 12, struct.unpack_from(f"{order}I", start, 8)[0]
    elif group == _FIRST and order == "<":  # implicit: the length alone
        at, length = 8, struct.unpack_from("<I", start, 4)[0]
    else:
        return False
    if length % 2 or length > _LONGEST_FIRST:
        return False
    following = start[at + length : at + length + 2]
    return len(following) < 2 or struct.unpack(f"{order}H", following)[0] == group
