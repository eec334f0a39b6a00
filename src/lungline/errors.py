"""The one family of errors.

`LunglineError` is a mistake that a person can mend: the command line prints it as one line and ends with
exit code 2. `Quarantine` says that one scan cannot be used: the stage succeeds, and the flag travels with
the scan to the end result.
"""

import errno
import os
import traceback
from pathlib import Path


class LunglineError(Exception):
    """A user's mistake or a broken file: one line that names what, where, expected, found, remedy.

    Of a table that is wrong in several places: one line a place.
    """


class GeometryError(LunglineError):
    """An affine, a spacing or a shape that no scanner could have written."""


class CorruptFileError(LunglineError):
    """A file of ours that is damaged, truncated or not what its name says."""


class DamagedFileError(CorruptFileError):
    """A file of ours whose content is no longer what its checksum says; the command line quarantines it."""

    def __init__(self, path: Path, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path


class Quarantine(Exception):
    """One scan cannot be used: a flag `Q_` of `lungline.qc_flags`, and what was found, without any identifier."""

    def __init__(self, flag: str, detail: str = "") -> None:
        super().__init__(f"{flag}: {detail}" if detail else flag)
        self.flag = flag
        self.detail = detail


def place_of(error: Exception) -> str:
    """Type and place of an unexpected exception, without its message, which may quote a scan."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def lack_of_the_disk(error: BaseException | None) -> str | None:
    """The operating system's message if the cause of an error is a full disk or a quota; else None.

    Words are believed only of an error without a number: with one, they quote names of files, which others choose.
    """
    while error is not None:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
            lack, own = os.strerror(number), getattr(error, "errno", None)
            if own == number or (own is None and (lack in str(error) or f"errno = {number}," in str(error))):
                return lack
        error = error.__cause__ or error.__context__
    return None
