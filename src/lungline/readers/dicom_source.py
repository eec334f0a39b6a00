"""The series that a scan was read from, looked at again: for what is written about it as DICOM.

Everything here is an identifier of the patient or stands beside one: only for the way out, `lungline write-dicom`,
never for results.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.uid import UID
from pydicom.valuerep import validate_value

from lungline.errors import LunglineError
from lungline.readers.dicom import used_slices
from lungline.readers.dicom_headers import Slice, quiet, read_dataset
from lungline.readers.sandbox import run_in_sandbox
from lungline.readers.scan import real_path

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID")
#: What every DICOM object must have, be it empty; a value that DICOM does not allow is left out.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
#: Groups of elements that say who, when and where: what is copied from a source into what is written about it.
_ABOUT = (0x0008, 0x0010, 0x0012, 0x0032, 0x0040)
#: Where the pixels lie; words of the reader (`Slice`) that have been understood, so they are right.
_GEOMETRY = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns",
    "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_OF_EACH = ["SOPClassUID", "Modality", *_UIDS, *_GEOMETRY]
_OF_FRAME = "PositionReferenceIndicator"  # what the origin of the frame of reference is, in words
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
_SEXES = ("M", "F", "O")
_DATE = re.compile(r"[0-9]{8}|[0-9]{4}\.[0-9]{2}\.[0-9]{2}")


@dataclass(frozen=True)
class Series:
    """The slices of a CT that a scan was read from, sorted along their normal.

    There is a header for each; a single one if all slices are frames of one enhanced CT. Who and when stands in the
    first.
    """

    slices: Sequence[Slice]
    headers: Sequence[Dataset]

    @property
    def is_one_file(self) -> bool:
        """Whether the slices are frames of one enhanced CT."""
        return len({item.path for item in self.slices}) == 1 and len(self.slices) > 1

    def uid(self, name: str) -> str:
        """A UID that all slices share."""
        return str(self.headers[0][name].value)


def read_series(path: Path) -> Series:
    """The slices that `lungline ingest` read from a folder (or file), with what others refer to of their headers.

    That is who, when and where, as far as DICOM allows it to be said so, UIDs, and where the pixels lie. Text is
    written as UTF-8. All else is left out: it need not be true of what is written about the series. `Quarantine` if
    the folder holds no CT any more; `LunglineError` if nothing can refer to this series: it has no UIDs, or consists
    of several enhanced CTs.
    """
    path = real_path(path)

    def work() -> tuple[NDArray[np.int16], Any]:
        with quiet():
            slices, _ = used_slices(path)
        return np.zeros(1, np.int16), [asdict(replace(item, place=None)) | {"path": str(item.path)} for item in slices]

    _, found = run_in_sandbox(work)
    slices = [Slice(**{**item, "path": Path(item["path"])}) for item in found]
    files = list(dict.fromkeys(item.path for item in slices))
    if 1 < len(files) < len(slices):
        raise LunglineError("the series consists of several enhanced CTs, and a segmentation can refer to one of them.")
    with quiet():
        headers = [_mended(read_dataset(files[0], stop_before_pixels=True), slices)]
        for file in files[1:]:  # of these others take UIDs and place alone
            headers.append(_mended(read_dataset(file, stop_before_pixels=True, specific_tags=_OF_EACH), slices))
    return Series(slices, headers)


def _mended(header: Dataset, slices: Sequence[Slice]) -> Dataset:
    """A header to which others may refer."""
    for name in _UIDS:
        if not UID(str(header.get(name) or "")).is_valid:
            raise LunglineError(f"the source has no valid {name}, so nothing can refer to it.")
    tags = list(header.keys())  # to walk over the elements would read them all, and some cannot be read
    for tag in tags:
        name = keyword_for_tag(tag)
        checked = tag.group in _ABOUT or name in (*_MAY_BE_EMPTY, *_LOSSY, _OF_FRAME)
        if not (name in _GEOMETRY or name in _UIDS or (checked and _is_allowed(header, tag))):
            del header[tag]
    for name in _MAY_BE_EMPTY:
        if not header.get(name):
            setattr(header, name, "")
    if header.PatientSex not in _SEXES:
        header.PatientSex = ""
    if header.get("PatientIdentityRemoved") == "YES" and not header.get("DeidentificationMethodCodeSequence"):
        header.DeidentificationMethod = header.get("DeidentificationMethod") or "not stated by the source"
    if "NumberOfFrames" not in header and not _is_positive(header, "SliceThickness"):
        first, last = np.array(slices[0].position_xyz_mm), np.array(slices[-1].position_xyz_mm)
        header.SliceThickness = f"{abs((last - first) @ slices[0].normal) / max(len(slices) - 1, 1):.9g}"
    header.SpecificCharacterSet = "ISO_IR 192"
    return header


def _is_allowed(header: Dataset, tag: BaseTag) -> bool:
    """Whether an element can be read, and is as DICOM wants it; what a sequence holds is not looked at."""
    try:
        element = header[tag]
        value = element.value
        for one in value if isinstance(value, MultiValue) else [] if element.VR == "SQ" else [value]:
            validate_value(element.VR, one, pydicom.config.RAISE)
            if element.VR == "DA" and one and not _DATE.fullmatch(str(one)):
                return False  # DICOM allows spans of dates in questions only
    except Exception:  # of nine kinds, and its words quote the value
        return False
    return True


def _is_positive(header: Dataset, name: str) -> bool:
    try:
        return 0 < float(header[name].value) < math.inf
    except Exception:  # missing, or words instead of a number
        return False
