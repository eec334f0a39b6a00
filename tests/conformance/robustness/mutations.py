"""Ways to change the bytes of a file: anywhere, or one value of its header."""

from __future__ import annotations

import gzip
import io
import random
import struct
import warnings
from collections.abc import Callable

import pydicom

from tests.conformance.robustness.nifti_files import FIELDS


def _place(blob: bytes, rng: random.Random) -> int:
    """Half of the changes hit the header, where most of the meaning is."""
    if not blob:
        return 0
    return rng.randrange(min(len(blob), 1600)) if rng.random() < 0.5 else rng.randrange(len(blob))


def _flip_bits(blob: bytes, rng: random.Random) -> bytes:
    out = bytearray(blob)
    for _ in range(rng.choice((1, 1, 1, 2, 8, 64))):
        out[_place(blob, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def _insert(blob: bytes, rng: random.Random) -> bytes:
    at = _place(blob, rng)
    return blob[:at] + rng.randbytes(rng.choice((1, 2, 4, 100))) + blob[at:]


def _delete(blob: bytes, rng: random.Random) -> bytes:
    at = _place(blob, rng)
    return blob[:at] + blob[at + rng.choice((1, 2, 4, 100)) :]


def _replace(blob: bytes, rng: random.Random) -> bytes:
    at, size = _place(blob, rng), rng.choice((1, 2, 4, 16))
    new = rng.choice((rng.randbytes(size), b"\0" * size, b"\xff" * size, b"9" * size))
    return blob[:at] + new + blob[at + size :]


def _truncate(blob: bytes, rng: random.Random) -> bytes:
    return blob[: rng.choice((_place(blob, rng), max(0, len(blob) - rng.randrange(1, 40))))]


def _duplicate_chunk(blob: bytes, rng: random.Random) -> bytes:
    at, size = _place(blob, rng), rng.choice((2, 8, 64, 512))
    return blob[: at + size] + blob[at : at + size] + blob[at + size :]


def _move_chunk(blob: bytes, rng: random.Random) -> bytes:
    at, to, size = _place(blob, rng), _place(blob, rng), rng.choice((2, 8, 64))
    chunk = blob[at : at + size]
    return blob[:to] + chunk + blob[to + len(chunk) :]


def _swap_elements(blob: bytes, rng: random.Random) -> bytes:
    """The values of two elements of a DICOM header change places."""
    dataset = _parsed(blob)
    keys = [element.tag for element in dataset if element.tag != 0x7FE00010]
    one, other = rng.sample(keys, 2)
    dataset[one]._value, dataset[other]._value = dataset[other]._value, dataset[one]._value
    return _bytes(dataset, blob)


NUMBERS = (
    "0",
    "-1",
    "1",
    "nan",
    "inf",
    "1e30",
    "-0",
    "3.7",
    "65535",
    "99999999999",
    "",
    "abc",
    "2.0000001",
    "0x10",
    "1,5",
)
_ELEMENTS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns", "BitsStored", "BitsAllocated",
    "HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "SamplesPerPixel", "Modality",
    "SeriesInstanceUID", "InstanceNumber", "AcquisitionNumber", "ImageType", "SOPClassUID", "PhotometricInterpretation",
    "SliceThickness",
)  # fmt: skip


def _change_element(blob: bytes, rng: random.Random) -> bytes:
    """One element of a DICOM header gets another value, or goes."""
    dataset = _parsed(blob)
    key = rng.choice([name for name in _ELEMENTS if name in dataset])
    element = dataset[key]
    if rng.random() < 0.2:
        del dataset[key]
    elif element.VR == "US":
        element.value = rng.choice((0, 1, 2, 7, 8, 12, 15, 16, 31, 32, 255, 65535))
    else:
        words = [str(word) for word in (element.value if element.VM > 1 else [element.value])]
        words[rng.randrange(len(words))] = rng.choice((*NUMBERS, _nudged(words[0], rng)))
        element.VR = "LO"
        element._value = "\\".join(words)
    return _bytes(dataset, blob)


def _parsed(blob: bytes):  # type: ignore[no-untyped-def]
    warnings.simplefilter("ignore")
    return pydicom.dcmread(io.BytesIO(blob))


def _bytes(dataset, blob: bytes) -> bytes:  # type: ignore[no-untyped-def]
    """The dataset as a file; the file as it was if such values cannot even be written."""
    out = io.BytesIO()
    try:
        pydicom.dcmwrite(out, dataset, enforce_file_format=True)
    except Exception:
        return blob
    return out.getvalue()


def _nudged(word: str, rng: random.Random) -> str:
    try:
        return f"{float(word) * rng.choice((1.001, 1.01, 1.1, 2, 0.5, -1)):.8g}"
    except ValueError:
        return word[::-1]


def _change_line(blob: bytes, rng: random.Random) -> bytes:
    """One line of a MetaImage header is changed, dropped, doubled or moved; other files lose a chunk."""
    end = blob.find(b"ElementDataFile")
    if end < 0:
        return _replace(blob, rng)
    end = blob.find(b"\n", end) + 1
    lines = blob[:end].splitlines()
    at = rng.randrange(len(lines))
    what = rng.randrange(5)
    key, _, value = lines[at].decode().partition(" = ")
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif what == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(at))
    else:
        words = value.split()
        k = rng.randrange(len(words))
        words[k] = rng.choice((*NUMBERS, "True", "False", _nudged(words[k], rng)))
        lines[at] = f"{key} = {' '.join(words)}".encode()
    return b"\n".join(lines) + b"\n" + blob[end:]


def _change_field(blob: bytes, rng: random.Random) -> bytes:
    """One field of a NIfTI header gets another value."""
    packed = blob[:2] == b"\x1f\x8b"
    out = bytearray(gzip.decompress(blob) if packed else blob)
    offset, form = FIELDS[rng.choice(sorted(FIELDS))]
    count, code = int(form[:-1] or 1), form[-1]
    if code == "s":
        out[offset : offset + count] = rng.randbytes(count)
    else:
        size = struct.calcsize(code)
        at = offset + rng.randrange(count) * size
        if code == "f":
            old = struct.unpack_from("<f", out, at)[0]
            new = rng.choice((0.0, -1.0, 1.0, float("nan"), float("inf"), 1e30, old * 1.01, old * 2, -old, 352.0, 7.3))
            struct.pack_into("<f", out, at, new)
        else:
            top = (1 << (size * 8 - 1)) - 1
            struct.pack_into(
                f"<{code}",
                out,
                at,
                rng.choice((0, 1, -1, 2, 3, 4, 16, 64, 100, top, -top)) if size > 1 else rng.randrange(128),
            )
    return gzip.compress(bytes(out), mtime=0) if packed else bytes(out)


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "flip-bits": _flip_bits,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "truncate": _truncate,
    "duplicate-chunk": _duplicate_chunk,
    "move-chunk": _move_chunk,
    "swap-elements": _swap_elements,
    "change-element": _change_element,
    "change-line": _change_line,
    "change-field": _change_field,
}
_BYTES = {"flip-bits", "insert", "delete", "replace", "truncate", "duplicate-chunk", "move-chunk"}
WAYS = {
    "dicom": _BYTES | {"swap-elements", "change-element"},
    "mhd": _BYTES | {"change-line"},
    "nifti": _BYTES | {"change-field"},
}
