"""A DICOM file as bytes from others: what it is, told from a bounded beginning of it."""

import re
import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from lungline.errors import LunglineError

_HEAD_BYTES = 1 << 18  # up to StudyInstanceUID; an object that hides it further behind is refused
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_STUDY_UID = 0x0020000D


@dataclass(frozen=True)
class Identity:
    """Which object it is; identifiers, so for private folders only."""

    sop_class: str
    instance: str
    study: str
    patient: str
    #: Letters, digits and _ only; "OTHER" where it is anything else.
    modality: str


def is_uid(text: object) -> bool:
    """Whether a text is a UID: digits and dots, up to 64."""
    return isinstance(text, str) and len(text) <= 64 and _UID.fullmatch(text) is not None


def has_preamble(content: bytes) -> bool:
    """Whether bytes begin as a DICOM file (Part 10) does."""
    return content[128:132] == b"DICM"


def identify(content: bytes) -> Identity:
    """What a DICOM file is.

    Raises
    ------
    LunglineError
        If it does not begin as one, or the identifiers are not where they belong; none of them is quoted.
    """
    if not has_preamble(content):
        raise LunglineError("a DICOM file (Part 10) was expected, and it does not begin as one.")
    import pydicom

    def behind(tag: Any, vr: str | None, length: int) -> bool:
        return int(tag) > _STUDY_UID

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = pydicom.filereader.read_partial(BytesIO(content[:_HEAD_BYTES]), stop_when=behind)
            sop_class, instance, study = (
                _text(head, name) for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")
            )
            patient, modality = _text(head, "PatientID"), _text(head, "Modality")
    except Exception as error:  # foreign bytes; the words of an error quote them
        raise LunglineError(f"a DICOM object whose beginning cannot be read ({type(error).__name__}).") from None
    if not all(map(is_uid, (sop_class, instance, study))):
        raise LunglineError("a DICOM object without its identifiers (SOP class, SOP instance, study).")
    if not re.fullmatch(r"[A-Z0-9_]{1,16}", modality):
        modality = "OTHER"
    return Identity(sop_class, instance, study, patient[:64], modality)


def _text(head: Any, name: str) -> str:
    return str(head.get(name, "") or "").strip(" \0")
