"""Variables of the environment that would stop a command, or make a library talk, without saying anything of use."""

import os
import sys
import warnings

_MOST_THREADS = 1024
#: Where another layer or driver of HDF5 is loaded from: without it the library ends the process, and ours are files.
_OTHER_STORAGE = ("HDF5_VOL_CONNECTOR", "HDF5_DRIVER", "HDF5_DRIVER_CONFIG")


def threads_asked_for() -> int | None:
    """What OMP_NUM_THREADS asks for (of a list, the first number); None where it says nothing that can be."""
    word = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(int(word), _MOST_THREADS) if word.isascii() and word.isdecimal() and int(word) > 0 else None


def make_usable() -> None:
    """Put right what a command can do without, before a library reads it.

    A number of threads that is none, another storage of HDF5 (as modules of clusters set it), a backend of matplotlib
    (pictures go to files), Python's warnings as errors, an output that cannot write every letter.
    """
    for name in _OTHER_STORAGE:
        os.environ.pop(name, None)
    if "OMP_NUM_THREADS" in os.environ and threads_asked_for() is None:
        del os.environ["OMP_NUM_THREADS"]
    os.environ["MPLBACKEND"] = "agg"
    if any(option.startswith("error") for option in sys.warnoptions):
        warnings.simplefilter("default")
    if getattr(sys.stdout, "errors", "") == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def folder_is_gone() -> bool:
    """Whether the folder that the process is in does not exist any more."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False
