"""When a scan was taken: a date that identifies, so it is read from the raw scan when asked for and kept nowhere."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from lungline.readers.raw import is_dicom
from lungline.readers.scan import raw_files
from lungline.readers.zips import unpacked

_TAGS = ("AcquisitionDate", "SeriesDate", "StudyDate", "ContentDate")
_LOOK_INTO = 20  # files


def acquisition_date(raw: Path) -> date | None:
    """The date in the first CT header of a folder (or zip) of DICOM files that has one; None for other scans."""
    import pydicom

    from lungline.readers.dicom_headers import check_inflated_size, quiet

    with unpacked(raw, "dicom") as files, quiet():
        for path in raw_files(files, "dicom")[:_LOOK_INTO]:
            try:
                if not is_dicom(path):
                    continue
                check_inflated_size(path)
                header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS, "Modality"])
                said = [str(header.get(tag) or "") for tag in _TAGS] if header.get("Modality") == "CT" else []
                return next(date.fromisoformat(word) for word in said if len(word) == 8)
            except Exception:  # pydicom raises about nine kinds of exception on damaged files
                continue
    return None
