"""Compressed streams that grow: megabytes of zeros in a few kilobytes, made without compressing each of them."""

from __future__ import annotations

import struct
import zlib

_MIB = 1 << 20


def deflated_zeros(start: bytes, megabytes: int) -> bytes:
    """A deflate stream of `start` and so many MiB of zeros."""
    first = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = first.compress(start) + first.flush(zlib.Z_FULL_FLUSH)
    piece = zlib.compressobj(9, zlib.DEFLATED, -15)
    zeros = piece.compress(bytes(_MIB)) + piece.flush(zlib.Z_FULL_FLUSH)
    return head + zeros * megabytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush()


def zlib_zeros(megabytes: int) -> bytes:
    """The same as a zlib stream, with its right checksum."""
    check = 1
    for _ in range(megabytes):
        check = zlib.adler32(bytes(_MIB), check)
    return b"\x78\xda" + deflated_zeros(b"", megabytes) + struct.pack(">I", check)


def gzip_zeros(start: bytes, megabytes: int) -> bytes:
    """The same as a gzip file, with its right checksum and length."""
    check = zlib.crc32(start)
    for _ in range(megabytes):
        check = zlib.crc32(bytes(_MIB), check)
    size = (len(start) + megabytes * _MIB) & 0xFFFFFFFF
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + deflated_zeros(start, megabytes) + struct.pack("<II", check, size)
