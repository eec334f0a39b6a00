"""Run a command: a user's mistake, a damaged file, a full disk are one line on stderr and exit code 2."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from lungline.errors import DamagedFileError, FaultsError, LunglineError, lack_of_the_disk, missing
from lungline.escape import visible
from lungline.storage.checksums import quarantine

_LONGEST = 2000  # characters of a sentence, which may quote what others wrote


def exit_code_of(name: str, work: Callable[[], object]) -> int:
    """Do the work of the command NAME: its exit code is a number that comes back, or 0.

    What a person can mend is said in one line. A mistake of ours is raised.
    """
    try:
        answer = work()
        return answer if isinstance(answer, int) else 0
    except Exception as error:
        sentence = _format_mistake(error)
        if sentence is None:
            raise
        print(f"lungline {name}: {sentence}", file=sys.stderr)
        return 2


def _format_mistake(error: Exception) -> str | None:
    """What happened and what to do, safe to print; None of a mistake of ours."""
    if isinstance(error, DamagedFileError):
        return f"{visible(str(error))} {quarantine(error.path)}"
    if isinstance(error, FaultsError):
        return "\n".join(map(visible, error.lines))
    if isinstance(error, LunglineError):
        text = str(error)
        return visible(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...")
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("lungline"):
        return missing(error.name)
    if cause := lack_of_the_disk(error):
        return visible(f"{cause}. Mend that, then run the same command again: it goes on.")
    if isinstance(error, OSError) and error.filename is not None:
        return visible(_about_a_file(error))
    return None


def _about_a_file(error: OSError) -> str:
    """The operating system's error on a file or folder, and the remedy; for a temporary file, on its folder."""
    path = Path(os.fsdecode(error.filename))
    if path.name.startswith(".") and path.suffix == ".tmp":
        path = path.parent
    in_the_way = "A file stands where a folder is needed: name another place."
    remedies: dict[type[OSError], str] = {
        FileNotFoundError: "Check its name, and the folder that you are in.",
        PermissionError: "Give yourself the right to it, or name another place.",
        FileExistsError: in_the_way,
        NotADirectoryError: in_the_way,
        IsADirectoryError: "Name a file in it.",
    }
    return f"{path}: {error.strerror}. {remedies.get(type(error), 'Check the disk and the name.')}"
