"""Which DICOM series a scan is: an identifier, only for the way out (`lungline export`), never for results."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungline.errors import Quarantine
from lungline.readers.dicom import used_slices
from lungline.readers.dicom_headers import quiet, read_dataset, regular_files
from lungline.readers.sandbox import Answer, run_in_sandbox

_TAG = "SeriesInstanceUID"


@dataclass(frozen=True)
class SeriesOfScan:
    """SeriesInstanceUID of the series that a scan is read from, "" if none can be, and of others in its folder."""

    read: str
    beside: tuple[str, ...]


def series_of_scan(path: Path) -> SeriesOfScan:
    """The series in a folder (or file) of DICOM. A single one is the one that is read, whatever it is an image of.

    `Quarantine` if the headers cannot be read.
    """

    def work() -> Answer:
        with quiet():
            found = {file: _uid(file) for file in regular_files(path)}
            every = list(dict.fromkeys(filter(None, found.values())))
            read = every[0] if len(every) == 1 else ""
            if len(every) > 1:
                try:
                    read = found.get(used_slices(path)[0][0].path, "")
                except Quarantine:
                    read = ""
        return np.zeros(1, np.int16), [read, *(uid for uid in every if uid != read)]

    uids: Sequence[str] = run_in_sandbox(work)[1]
    return SeriesOfScan(uids[0], tuple(uids[1:]))


def _uid(file: Path) -> str:
    try:
        return str(read_dataset(file, specific_tags=[_TAG], stop_before_pixels=True).get(_TAG, "")).strip()
    except (OSError, MemoryError):
        raise
    except Exception:  # pydicom raises about nine kinds of exception on damaged files
        return ""
