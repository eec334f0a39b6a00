"""Scans that carry a marker wherever a file can carry text, and the search for that marker in everything."""

from __future__ import annotations

import base64
import gzip
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (the filter of our chunks)
import nibabel
import numpy as np
from pydicom.datadict import DicomDictionary
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from lungline.imaging.volume import Volume
from lungline.readers import dicom_headers
from scans import write_dicom, write_mhd

MARKER = "Zq7Planted"
#: A name as no file should have: markup, a line end, a formula, a control sequence, a byte that is no UTF-8.
ODD_NAME = f"=1+1 {MARKER}^Jané, <script>alert(1)<script>\n\x1b[31m" + os.fsdecode(b"\xe9")

TEXT_VRS = {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"}
#: Without these there is no scan; everything else may hold anything.
NEEDED = {
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "Modality",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelSpacing",
    "RescaleIntercept",
    "RescaleSlope",
    "SOPClassUID",
}
_SYNTAX = b"1.2.840.10008.1.2.1\0"
_META = {0x00020003: "UI", 0x00020013: "SH", 0x00020016: "AE", 0x00020017: "AE", 0x00020100: "UI"}
#: What the reader looks at, and who it is about.
READ = {*dicom_headers._TAGS, "PatientName", "PatientID", "SpecificCharacterSet"}
EVERYTHING_EACH = 8  # slices: writing two thousand elements takes a tenth of a second


# ---- planting ----------------------------------------------------------------------------------------------


def plant_in_dicom(k: int, dataset: Dataset) -> None:
    """Put the marker into the file meta and into all text that is read, of some slices into all that DICOM knows."""
    for number, (vr, _, _, _, keyword) in DicomDictionary.items():
        text = vr in TEXT_VRS and keyword not in NEEDED and 0x0008 <= number >> 16 < 0x7FE0
        if text and (k % EVERYTHING_EACH == 0 or keyword in READ):
            dataset[Tag(number)] = _raw(number, vr)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", MARKER]
    dataset[Tag(0x00110010)] = _raw(0x00110010, "LO")  # a private creator, and what it owns
    dataset[Tag(0x00111001)] = _raw(0x00111001, "UT")
    dataset[Tag(0x00111002)] = _raw(0x00111002, "UN")
    inner = Dataset()
    inner.PatientName, inner.PatientComments = MARKER, MARKER
    dataset[Tag(0x00081140)] = DataElement(Tag(0x00081140), "SQ", [inner])
    for number, vr in _META.items():
        dataset.file_meta[Tag(number)] = _raw(number, vr)


def _raw(number: int, vr: str, word: str = MARKER) -> RawDataElement:
    value = word.encode() + b" " * (len(word) % 2)
    return RawDataElement(Tag(number), vr, len(value), value, 0, False, True)


def plant_scans(folder: Path, ct: Volume) -> int:
    """Write good and damaged scans of all formats below `folder`; how many there are."""
    hu = np.rint(ct.array).astype(np.int16)
    spacing_kji = tuple(np.linalg.norm(ct.affine[:3, :3], axis=0))
    small = hu[:8]

    def no_geometry(k: int, dataset: Dataset) -> None:
        plant_in_dicom(k, dataset)
        dataset[Tag(0x00280030)] = _raw(0x00280030, "DS")  # PixelSpacing

    def truncated(k: int, dataset: Dataset) -> None:
        plant_in_dicom(k, dataset)
        if k % 2:
            dataset.PixelData = dataset.PixelData[:100]

    whole = folder / ODD_NAME / f"{MARKER} series"
    write_dicom(whole, hu, spacing_kji=spacing_kji, change=plant_in_dicom, prefix=MARKER)
    for name, change in (("syntax", plant_in_dicom), ("geometry", no_geometry), ("truncated", truncated)):
        write_dicom(folder / f"{MARKER}-{name}", small, spacing_kji=spacing_kji, change=change, prefix=MARKER)

    for path in (folder / f"{MARKER}-syntax").iterdir():
        strange = f"1.2.{MARKER}".ljust(len(_SYNTAX), "\0").encode()
        path.write_bytes(path.read_bytes().replace(_SYNTAX, strange, 1))

    words = {"Comment": MARKER, "Name": MARKER, "ID": MARKER}
    spacing = " ".join(f"{mm:g}" for mm in spacing_kji[::-1])
    write_mhd(folder / f"{MARKER}.mhd", hu, ElementSpacing=spacing, **words)
    write_mhd(folder / f"{MARKER}-bad.mhd", small, ElementType=MARKER, **words)
    write_mhd(folder / f"{MARKER}-key.mhd", small, **{MARKER: MARKER})

    image = nibabel.Nifti1Image(hu.T, np.diag([*(-mm for mm in spacing_kji[2:0:-1]), spacing_kji[0], 1]))
    image.header["descrip"], image.header["aux_file"] = MARKER, MARKER
    image.header["intent_name"], image.header["db_name"] = MARKER, MARKER
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", MARKER.encode()))
    image.header.set_xyzt_units("mm")
    nibabel.save(image, folder / f"{MARKER}.nii")
    with open(folder / f"{MARKER}-cut.nii.gz", "wb") as file, gzip.GzipFile(MARKER, "wb", fileobj=file) as packed:
        packed.write((folder / f"{MARKER}.nii").read_bytes()[:5000])
    return 9


# ---- searching ---------------------------------------------------------------------------------------------


def _patterns() -> list[re.Pattern[bytes]]:
    plain = MARKER.encode()
    cores = []  # the part of the base64 text that does not depend on the neighbours
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + plain)
        cores.append(coded[(0, 2, 3)[offset] : len(coded) - 4])
    loose = [plain, MARKER.encode("utf-16-le"), MARKER.encode("utf-16-be"), plain.hex().encode(), plain[::-1]]
    loose.append(b"".join(b"%%%02x" % byte for byte in plain))
    return [re.compile(re.escape(word), re.IGNORECASE) for word in loose] + [re.compile(re.escape(c)) for c in cores]


PATTERNS = _patterns()
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")


def holds_marker(content: bytes) -> bool:
    """Whether the marker stands in these bytes: in any case and encoding, also inside base64, gzip and zlib."""
    return any(pattern.search(view) for view in _views(content) for pattern in PATTERNS)


def _views(content: bytes, depth: int = 3) -> Iterator[bytes]:
    yield content
    if depth == 0:
        return
    for start in re.finditer(rb"\x1f\x8b\x08|IDAT|zTXt|iTXt|iCCP|x[\x01\x5e\x9c\xda]|<<stream", content):
        yield from _unpacked(content[start.start() :])
        yield from _unpacked(content[start.end() :])
    for found in _BASE64.finditer(content):
        text = found[0].rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
        decoded = base64.b64decode(text[: len(text) // 4 * 4] if len(text) % 4 == 1 else text + b"=" * (-len(text) % 4))
        yield from _views(decoded, depth - 1)


def _unpacked(content: bytes) -> Iterator[bytes]:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip
    try:
        yield stream.decompress(content, 1 << 24)
    except zlib.error:
        return


def _hdf5_words(path: Path) -> Iterator[bytes]:
    """Names, attributes and decompressed content of an HDF5 file."""
    found: list[bytes] = []

    def take(name: str, item: h5py.Group | h5py.Dataset) -> None:
        found.append(f"{name} {dict(item.attrs)}".encode())
        if isinstance(item, h5py.Dataset):
            found.append(np.asarray(item[()]).tobytes())

    with h5py.File(path, "r") as file:
        take("/", file)
        file.visititems(take)
    yield from found


def leaks(folder: Path, but: tuple[Path, ...] = ()) -> list[str]:
    """Files and folders below `folder` whose name, link or content holds the marker; what lies below `but` is left out.

    Raises
    ------
    AssertionError
        If there is nothing to search.
    """
    searched, found = 0, []
    for path in sorted(folder.rglob("*")):
        if any(path.is_relative_to(private) for private in but):
            continue
        name = str(path.relative_to(folder))
        searched += 1
        contents = [name.encode(errors="surrogateescape")]
        if path.is_symlink():
            contents.append(str(path.readlink()).encode(errors="surrogateescape"))
        elif path.is_file():
            contents.append(path.read_bytes())
            if path.suffix == ".h5":
                contents += _hdf5_words(path)
        found += [name] if any(map(holds_marker, contents)) else []
    assert searched, f"nothing to search in {folder}"
    return found
