"""Fingerprints of a raw scan, by which scans of one patient and copies are recognised; and its date.

Fingerprints are kept in `private/`, as hashes. Not in the HDF5 files, which may be shared: the hash of a short patient
id is found by trying all of them, and a secret key would make the files of two runs differ. A date is kept nowhere.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lungline.errors import CorruptFileError
from lungline.privacy.permissions import write_secret
from lungline.readers.dicom_sniff import is_dicom
from lungline.readers.scan import raw_files, real_path
from lungline.readers.zips import unpacked
from lungline.scan_formats import Source, scan_suffix

#: Kind of fingerprint, and what a report calls it.
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
_DATES = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
_LOOK_INTO = 20  # files, for a date or an age
_SEXES = {"F": "female", "M": "male"}
_DAYS_OF = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}


@dataclass(frozen=True)
class Identity:
    """Fingerprints of a scan: of each of `KINDS` the SHA-256, sorted, of every value that occurs in it.

    A quarantined scan, which takes part in nothing, is not `usable`.
    """

    usable: bool
    fingerprints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def identifiers(raw: Path, source: Source) -> dict[str, tuple[str, ...]]:
    """Hashes of the identifiers in a raw scan: of its CT headers, or of a series UID that is a file's name.

    Words that stand for nobody ("anonymous") do not count. A file that cannot be read counts as one without.
    """
    found: dict[str, set[str]] = {tag: set() for tag in IDENTIFIERS}
    if source == "dicom":
        for modality, values in _headers(raw_files(raw, "dicom"), IDENTIFIERS):
            for tag, value in values.items():
                if modality in (None, "CT") and value and value.casefold() not in _NOBODY:
                    found[tag].add(value)
    else:
        name = real_path(raw).name
        name = name.removesuffix(scan_suffix(name))
        if _UID.fullmatch(name):
            found["SeriesInstanceUID"].add(name)
    return {kind: tuple(sorted(_hash(kind, value) for value in values)) for kind, values in found.items() if values}


def acquisition_date(raw: Path) -> date | None:
    """The date in the first CT header of a folder (or zip) of DICOM files that has one; None for other scans."""
    with unpacked(raw, "dicom") as files:
        for modality, values in _headers(raw_files(files, "dicom")[:_LOOK_INTO], _DATES):
            with suppress(ValueError, StopIteration):
                if modality == "CT":
                    return next(date.fromisoformat(word) for word in values.values() if len(word) == 8)
    return None


def age_and_sex(raw: Path) -> tuple[int | None, str | None]:
    """Age in whole years and sex, "female" or "male", in the CT headers of a folder (or zip) of DICOM files.

    None where no header says so, or two differ. Both are kept nowhere: what they narrow may be written, they may not.
    """
    ages, sexes = set[int](), set[str]()
    with unpacked(raw, "dicom") as files:
        tags = ("PatientAge", "PatientSex", "PatientBirthDate", *_DATES)
        for modality, values in _headers(raw_files(files, "dicom")[:_LOOK_INTO], tags):
            if modality != "CT":
                continue
            sexes |= {_SEXES[word] for word in [values["PatientSex"]] if word in _SEXES}
            age = _age_in_words(values["PatientAge"])
            ages |= {found for found in [_age_by_birth(values) if age is None else age] if found is not None}
    return (ages.pop() if len(ages) == 1 else None), (sexes.pop() if len(sexes) == 1 else None)


def _age_in_words(word: str) -> int | None:
    """Whole years of an age as DICOM writes it ("062Y"); None for other words, and for 0, which stands for nothing."""
    found = re.fullmatch(r"([0-9]{3})([DWMY])", word)
    if found is None or not int(found[1]):
        return None
    return int(found[1]) if found[2] == "Y" else int(int(found[1]) * _DAYS_OF[found[2]] / _DAYS_OF["Y"])


def _age_by_birth(values: Mapping[str, str]) -> int | None:
    """Whole years from the date of birth to that of the scan; None where one is missing or no date."""
    with suppress(ValueError, StopIteration):
        born = date.fromisoformat(values["PatientBirthDate"])
        taken = next(date.fromisoformat(values[name]) for name in _DATES if len(values[name]) == 8)
        years = taken.year - born.year - ((taken.month, taken.day) < (born.month, born.day))
        return years if 0 <= years <= 130 else None
    return None


def _headers(files: Sequence[Path], tags: Sequence[str]) -> Iterator[tuple[str | None, dict[str, str]]]:
    """Modality (None if not stated) and these tags, as text, of every DICOM file that can be read."""
    from lungline.readers.deflated import check_inflated_size
    from lungline.readers.dicom_headers import quiet, read_dataset

    with quiet():
        for path in files:
            try:
                if not is_dicom(path):
                    continue
                check_inflated_size(path)
                header = read_dataset(path, stop_before_pixels=True, specific_tags=[*tags, "Modality"])
                found = header.get("Modality"), {tag: str(header.get(tag) or "").strip() for tag in tags}
            except Exception:  # pydicom raises about nine kinds of exception on damaged files
                continue
            yield found


def _hash(kind: str, value: str) -> str:
    return hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()


def write_identity(path: Path, identity: Identity) -> None:
    """Write an identity as JSON that only its owner can read."""
    write_secret(
        path, json.dumps({"usable": identity.usable, "fingerprints": identity.fingerprints}, sort_keys=True) + "\n"
    )


def read_identity(path: Path) -> Identity:
    """An identity that `write_identity` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        fingerprints = {str(kind): tuple(map(str, values)) for kind, values in content["fingerprints"].items()}
        return Identity(bool(content["usable"]), fingerprints)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptFileError(
            f"{path}: not an identity of a scan ({type(error).__name__}). Delete it and run again."
        ) from None
