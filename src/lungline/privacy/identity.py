"""Marks by which two scans are known as one patient's, or as copies: kept in `private/`, as hashes.

Not in the HDF5 files, which may be shared: the hash of a short patient id is found by trying all of them, and a
secret key would make the files of two runs differ.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lungline.errors import CorruptFileError
from lungline.privacy.permissions import write_secret
from lungline.readers.raw import is_dicom
from lungline.readers.scan import Source, raw_files, real_path

#: Kind of mark, and what a report calls it.
KINDS = {
    "PatientID": "patient id",
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frame of reference",
    "raw_sha256": "raw files",
    "hu_sha256": "pixels",
    "histogram_sha256": "pixels in another order",
}
IDENTIFIERS = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
_NOBODY = {"anon", "anonymous", "anonymized", "anonymised", "deidentified", "n/a", "na", "none", "null", "unknown", "0"}
_UID = re.compile(r"[0-9]+(\.[0-9]+){4,}")


@dataclass(frozen=True)
class Identity:
    """What a scan can be recognised by.

    Attributes
    ----------
    usable : bool
        False for a quarantined scan, which takes part in nothing.
    marks : mapping of kind to tuple of str
        SHA-256 in hexadecimal, sorted, of every value that occurs in the scan; kinds as in `KINDS`.
    """

    usable: bool
    marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def identifiers(raw: Path, source: Source) -> dict[str, tuple[str, ...]]:
    """Hashes of the identifiers in a raw scan: of its CT headers, or of a series UID that is a file's name.

    Words that stand for nobody ("anonymous") do not count. A file that cannot be read counts as one without.
    """
    if source == "dicom":
        found = _in_headers(raw)
    else:
        name = real_path(raw).name.partition(".nii")[0].removesuffix(".mhd").removesuffix(".mha")
        found = {"SeriesInstanceUID": {name}} if _UID.fullmatch(name) else {}
    return {kind: tuple(sorted(_hash(kind, value) for value in values)) for kind, values in found.items() if values}


def _in_headers(raw: Path) -> dict[str, set[str]]:
    import pydicom

    from lungline.readers.dicom_headers import check_inflated_size, quiet

    found: dict[str, set[str]] = {tag: set() for tag in IDENTIFIERS}
    with quiet():
        for path in raw_files(raw, "dicom"):
            try:
                if not is_dicom(path):
                    continue
                check_inflated_size(path)
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*IDENTIFIERS, "Modality"])
                values = {tag: str(header.get(tag) or "").strip() for tag in IDENTIFIERS}
            except Exception:  # pydicom raises about nine kinds of exception on damaged files
                continue
            for tag, value in values.items():
                if header.get("Modality", "CT") == "CT" and value and value.casefold() not in _NOBODY:
                    found[tag].add(value)
    return found


def _hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()


def write_identity(path: Path, identity: Identity) -> None:
    """Write an identity as JSON that only its owner can read."""
    write_secret(path, json.dumps({"usable": identity.usable, "marks": identity.marks}, sort_keys=True) + "\n")


def read_identity(path: Path) -> Identity:
    """An identity that `write_identity` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        marks = {str(kind): tuple(map(str, values)) for kind, values in content["marks"].items()}
        return Identity(bool(content["usable"]), marks)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(
            f"{path}: not an identity of a scan ({type(error).__name__}). Delete it and run again."
        ) from None
