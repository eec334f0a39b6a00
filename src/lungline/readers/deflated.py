"""Deflated DICOM (PS3.5, A.5), which pydicom inflates whole, whatever its size: a check before it does."""

import zlib
from pathlib import Path
from typing import BinaryIO

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.dicom_sniff import gunzipped

DEFLATED = "1.2.840.10008.1.2.1.99"
_META_LENGTH = b"\2\0\0\0UL\4\0"  # how the first element of a file begins: the length of group 2
_MAX_INFLATED_BYTES = limits.MAX_HEADER_BYTES


def check_inflated_size(path: Path) -> None:
    """Quarantine a deflated DICOM file that would not stay small: pydicom inflates it whole, whatever its size."""
    with gunzipped(open(path, "rb")) as handle:
        check_inflated_stream(handle)


def check_inflated_stream(handle: BinaryIO) -> None:
    """As `check_inflated_size`, of an open file at its start."""
    start = handle.read(2048)
    if DEFLATED.encode() not in start:
        return
    if start[132:140] != _META_LENGTH:
        raise ValueError("the elements of the file do not begin with their length")
    handle.seek(144 + int.from_bytes(start[140:144], "little"))
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    while not stream.eof and (piece := stream.unconsumed_tail or handle.read(1 << 16)):
        size += len(stream.decompress(piece, 1 << 20))
        if size > _MAX_INFLATED_BYTES:
            raise Quarantine("Q_LIMIT", f"a deflated file grows beyond {_MAX_INFLATED_BYTES} bytes")
