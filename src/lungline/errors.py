"""The one family of errors.

`LunglineError` is a mistake that a person can mend: the command line prints it as one line and ends with
exit code 2. `Quarantine` says that one scan cannot be used: the stage succeeds, and the flag travels with
the scan to the end result.
"""

import errno
import os
import traceback
from collections.abc import Sequence
from pathlib import Path


class LunglineError(Exception):
    """A user's mistake or a broken file: one line that names what, where, expected, found, remedy."""


class FaultsError(LunglineError):
    """Of a table that is wrong in several places: a line for each, after a first one that says how many they are."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


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


#: Packages that are not needed to answer per scan, and the extra that installs them.
EXTRAS = {
    "highdicom": "pacs",
    "matplotlib": "report",
    "pandas": "report",
    "pynetdicom": "pacs",
    "skimage": "report",
    "snakemake": "workflow",
    "yaml": "workflow",
}


def missing(package: str) -> str:
    """What to install for a package that is not there."""
    package = package.partition(".")[0]
    extra = EXTRAS.get(package)
    what = f"'lungline[{extra}]'" if extra else f"--force-reinstall lungline, of which {package} is a part"
    return f"this needs {package}, which is not installed. Call: pip install {what}"


def place_of(error: Exception) -> str:
    """Type and place of an unexpected exception, without its message, which may quote a scan."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"


def lack_of_the_disk(error: BaseException | None) -> str | None:
    """The operating system's message if the cause of an error is a full disk or a quota; else None.

    Words are believed only of an error without a number: with one, they quote names of files, which others choose.
    """
    while error is not None:
        if isinstance(error, FileNotFoundError) and error.filename is None and "temporary directory" in str(error):
            return "No usable folder for temporary files (TMPDIR)"
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG):
            lack, own = os.strerror(number), getattr(error, "errno", None)
            if own == number or (own is None and (lack in str(error) or f"errno = {number}," in str(error))):
                return lack
        error = error.__cause__ or error.__context__
    return None
