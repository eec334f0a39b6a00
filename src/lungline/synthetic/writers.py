"""Write simulated scans in the formats of the real sets: LUNA-16 (`.mhd` + `.zraw`) and DSB-17 (DICOM series).

The bytes depend on the scan only: no clock, no machine name, no random order that is not drawn from the seed.
"""

import os
import shutil
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.volume import Volume
from lungline.storage.checksums import atomic_path, write_text
from lungline.synthetic.seeds import UID_ROOT, hex_name, random_stream, uid

PADDING = -2000
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
Element = tuple[str, str | int | bytes]  # value representation and value


def write_mhd(target: Path, ct: Volume, *, flipped: bool = False) -> None:
    """Write int16 HU in LPS order as `target` (`.mhd`) and a zlib-compressed `.zraw` beside it.

    A flipped scan is stored with rows and columns reversed, TransformMatrix -1 0 0 0 -1 0 0 0 1 and the offset
    of its own first voxel, so every point keeps its place in the world.
    """
    array = ct.array[:, ::-1, ::-1] if flipped else ct.array
    offset = ct.affine[:3, 3].copy()
    if flipped:
        offset += ct.affine[:3, :3] @ [0, ct.array.shape[1] - 1, ct.array.shape[2] - 1]
    sign = -1 if flipped else 1
    packed = zlib.compress(np.ascontiguousarray(array, dtype="<i2").tobytes(), level=1)
    data = target.with_suffix(".zraw")
    header = {
        "ObjectType": "Image",
        "NDims": "3",
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "CompressedData": "True",
        "CompressedDataSize": str(len(packed)),
        "TransformMatrix": f"{sign} 0 0 0 {sign} 0 0 0 1",
        "Offset": " ".join(f"{c:.6g}" if c == round(c, 3) else f"{c:.3f}" for c in offset),
        "CenterOfRotation": "0 0 0",
        "AnatomicalOrientation": "RAI",
        "ElementSpacing": " ".join(f"{s:.6g}" for s in ct.spacing_zyx_mm[::-1]),
        "DimSize": " ".join(map(str, array.shape[::-1])),
        "ElementType": "MET_SHORT",
        "ElementDataFile": data.name,
    }
    with atomic_path(data) as temporary:
        temporary.write_bytes(packed)
    write_text(target, "".join(f"{key} = {value}\n" for key, value in header.items()))


def write_dicom_series(
    target: Path,
    ct: Volume,
    *,
    patient: str,
    intercept_hu: int = -1024,
    compressed: bool = False,
    damaged: bool = False,
) -> None:
    """Write int16 HU in LPS order as a folder of one DICOM file per slice, under names that tell no order.

    The stored value is HU - `intercept_hu`. Pixels outside the round field of view are stored as -2000, whatever the
    intercept, as in DSB-17. The folder appears whole or not at all; an older one is replaced. All identifiers follow
    from the fictional id `patient`. A `compressed` series is RLE lossless; of a `damaged` one most files are cut off
    in their pixels and a third have lost their position.
    """
    stored = (ct.array - np.int16(intercept_hu)).astype("<i2")
    stored[:, ~round_field_of_view(*stored.shape[1:])] = PADDING
    damage = random_stream(patient, "damage")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        for k, pixels in enumerate(stored):
            elements = _slice_elements(ct, k, patient, intercept_hu, pixels)
            if damaged and damage.random() < 1 / 3:
                del elements[0x0020_0032]
            blob = _part_10(elements)
            if damaged and damage.random() < 0.8:
                blob = blob[: int(len(blob) * damage.uniform(0.1, 0.6))]
            file = temporary / f"{hex_name(patient, 'file', k)}.dcm"
            file.write_bytes(blob)
            if compressed:
                _compress(file)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def round_field_of_view(rows: int, columns: int) -> NDArray[np.bool_]:
    """Mask (rows, columns) of the pixels that the scanner reconstructs: the circle that fits the square."""
    y = np.arange(rows)[:, None] - (rows - 1) / 2
    x = np.arange(columns) - (columns - 1) / 2
    return np.asarray(np.hypot(y, x) <= min(rows, columns) / 2)


def _compress(file: Path) -> None:
    import pydicom
    from pydicom.uid import RLELossless

    dataset = pydicom.dcmread(file)
    dataset.compress(RLELossless, generate_instance_uid=False)
    dataset.save_as(file)


def _slice_elements(
    ct: Volume, k: int, patient: str, intercept_hu: int, pixels: NDArray[np.int16]
) -> dict[int, Element]:
    """Tag to (VR, value) of slice `k` of the series."""
    dz, dy, dx = ct.spacing_zyx_mm
    x, y, z = ct.affine[:3, 3] + ct.affine[:3, 0] * k
    rows, columns = pixels.shape
    return {
        0x0008_0005: ("CS", "ISO_IR 100"),
        0x0008_0008: ("CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        0x0008_0016: ("UI", CT_IMAGE_STORAGE),
        0x0008_0018: ("UI", uid(patient, "instance", k)),
        0x0008_0020: ("DA", ""),
        0x0008_0030: ("TM", ""),
        0x0008_0050: ("SH", ""),
        0x0008_0060: ("CS", "CT"),
        0x0008_0070: ("LO", "lungline phantom"),
        0x0008_0090: ("PN", ""),
        0x0010_0010: ("PN", patient),
        0x0010_0020: ("LO", patient),
        0x0010_0030: ("DA", ""),
        0x0010_0040: ("CS", "O"),
        0x0012_0062: ("CS", "YES"),
        0x0018_0015: ("CS", "CHEST"),
        0x0018_0050: ("DS", f"{dz:.6g}"),
        0x0018_0060: ("DS", "120"),
        0x0018_5100: ("CS", "HFS"),
        0x0020_000D: ("UI", uid(patient, "study")),
        0x0020_000E: ("UI", uid(patient, "series")),
        0x0020_0010: ("SH", ""),
        0x0020_0011: ("IS", "2"),
        0x0020_0012: ("IS", "1"),
        0x0020_0013: ("IS", str(len(ct.array) - k)),  # numbered from the head, as scanners often do
        0x0020_0032: ("DS", f"{x:.3f}\\{y:.3f}\\{z:.3f}"),
        0x0020_0037: ("DS", "1\\0\\0\\0\\1\\0"),
        0x0020_0052: ("UI", uid(patient, "frame of reference")),
        0x0020_1040: ("LO", ""),
        0x0020_1041: ("DS", f"{z:.3f}"),
        0x0028_0002: ("US", 1),
        0x0028_0004: ("CS", "MONOCHROME2"),
        0x0028_0010: ("US", rows),
        0x0028_0011: ("US", columns),
        0x0028_0030: ("DS", f"{dy:.6g}\\{dx:.6g}"),
        0x0028_0100: ("US", 16),
        0x0028_0101: ("US", 16),
        0x0028_0102: ("US", 15),
        0x0028_0103: ("US", 1),
        0x0028_0120: ("SS", PADDING),
        0x0028_1050: ("DS", "-600"),
        0x0028_1051: ("DS", "1500"),
        0x0028_1052: ("DS", str(intercept_hu)),
        0x0028_1053: ("DS", "1"),
        0x0028_1054: ("LO", "HU"),
        0x7FE0_0010: ("OW", pixels.tobytes()),
    }


def _part_10(elements: Mapping[int, Element]) -> bytes:
    """A DICOM file (PS3.10, explicit VR little endian) of elements in ascending order of their tags.

    Written here and not by pydicom because a cohort has thousands of slices: this takes 0.1 ms, not 3.
    """
    meta: dict[int, Element] = {
        0x0002_0001: ("OB", b"\x00\x01"),
        0x0002_0002: ("UI", CT_IMAGE_STORAGE),
        0x0002_0003: ("UI", elements[0x0008_0018][1]),
        0x0002_0010: ("UI", EXPLICIT_LITTLE_ENDIAN),
        0x0002_0012: ("UI", UID_ROOT + "1"),
        0x0002_0013: ("SH", "LUNGLINE"),
    }
    head = b"".join(_element(tag, *content) for tag, content in meta.items())
    length = _element(0x0002_0000, "UL", len(head))
    body = b"".join(_element(tag, *content) for tag, content in elements.items())
    return b"".join((bytes(128), b"DICM", length, head, body))


def _element(tag: int, vr: str, value: str | int | bytes) -> bytes:
    if isinstance(value, int):
        raw = struct.pack({"US": "<H", "SS": "<h", "UL": "<I"}[vr], value)
    elif isinstance(value, str):
        raw = value.encode("ascii")
        raw += (b"\0" if vr == "UI" else b" ") * (len(raw) % 2)
    else:
        raw = value
    length = struct.pack("<HI", 0, len(raw)) if vr in ("OB", "OW") else struct.pack("<H", len(raw))
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF) + vr.encode("ascii") + length + raw
