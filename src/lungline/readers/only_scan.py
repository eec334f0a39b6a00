"""The one scan that a path leads to, for what takes a single one."""

from pathlib import Path

from lungline.errors import LunglineError, Quarantine
from lungline.imaging.volume import Volume
from lungline.qc_flags import format_flag
from lungline.readers.listing import Listed, list_folder
from lungline.readers.scan import read_scan
from lungline.readers.zips import is_inside, unpacked
from lungline.storage.hdf5 import Flag


def only_scan(path: Path) -> Listed:
    """The scan that a path is or holds: DICOM, .mhd, .mha, .nii, .nii.gz, also in a zip (`study.zip/series`).

    `LunglineError` if there is none, or more than one.
    """
    if not path.exists() and not is_inside(path):
        raise LunglineError(f"{path}: no such file or folder. Check its name, and the folder that you are in.")
    scans = list_folder(path.absolute(), b"", None).scans
    if len(scans) > 1:
        raise LunglineError(f"{path}: expected one scan. Found {len(scans)}; name one of the folders or files in it.")
    return scans[0]


def read_listed(found: Listed, subject: object) -> tuple[Volume, list[Flag]]:
    """HU and `W_` flags of a scan that was found, as `read_scan` gives them.

    `LunglineError`, which begins with `subject`, if the scan cannot be used.
    """
    try:
        with unpacked(found.path, found.row.source) as files:
            return read_scan(files, found.row.source)
    except Quarantine as reason:
        raise not_usable(subject, reason.flag, reason.detail) from None
    except OSError as error:  # its own words name the raw file
        raise not_usable(subject, "Q_UNREADABLE", type(error).__name__) from None


def not_usable(subject: object, flag: str, detail: str) -> LunglineError:
    """The error that says why a scan cannot be used, and what to do."""
    return LunglineError(f"{subject}: not usable. {format_flag(flag, detail)}")
