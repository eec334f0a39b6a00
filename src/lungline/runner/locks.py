"""One run at a time in a folder of results: the second is refused, with who and when.

Snakemake's own lock is looked at and then written, so two runs that start together may both pass it. This one is the
kernel's: it cannot be had twice, and it ends with its process, however that ends.
"""

import fcntl
import functools
import getpass
import inspect
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

from lungline.errors import LunglineError

P = ParamSpec("P")
T = TypeVar("T")
NAME = ".run.lock"
#: Held while the list of scans is written: by a run that holds the other one, too.
LISTING = ".list.lock"
LEAST_FREE_BYTES = 1 << 20


def hold(folder: Path, name: str = NAME) -> IO[str]:
    """The right to write into a folder, for as long as the file that comes back stays open.

    `LunglineError` if another process has it, or nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / name, "a+", encoding="utf-8")  # noqa: SIM115  closed with the process
    except OSError as error:
        what = f"nothing can be written there: {error.strerror}."
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            what = "a file stands there or on the way, and a folder is needed: name another place."
        raise LunglineError(f"{folder}: {what}") from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip()
        handle.close()
        raise LunglineError(f"{folder}: another run is at work here{_who(owner)}. Wait for it or stop it.") from None
    except OSError:  # a file system without locks: Snakemake's own has to do
        return handle
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may not know its user's name
        user = str(os.getuid())
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    owner = json.dumps({"user": user, "host": socket.gethostname(), "process": os.getpid(), "since": now})
    with suppress(OSError):  # a full disk: the steps say so
        os.ftruncate(handle.fileno(), 0)
        os.write(handle.fileno(), owner.encode())
    return handle


def alone_in_out(run: Callable[P, T]) -> Callable[P, T]:
    """Let one call at a time write into the folder that the parameter `out` of a stage names."""
    signature = inspect.signature(run)

    @functools.wraps(run)
    def alone(*words: P.args, **options: P.kwargs) -> T:
        bound = signature.bind(*words, **options)
        bound.apply_defaults()
        with hold(Path(bound.arguments["out"])):
            return run(*words, **options)

    return alone


def _who(owner: str) -> str:
    try:
        run = json.loads(owner)
        return f", of {run['user']} on {run['host']}, process {run['process']}, since {run['since']}"
    except (ValueError, KeyError, TypeError):
        return ""  # it has just started


def trouble_with(folder: Path) -> str | None:
    """What a person must mend before anything can be written into a folder, or None.

    The logs lie there, too, so on a full disk a step cannot say it itself.
    """
    around = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if shutil.disk_usage(around).free < LEAST_FREE_BYTES:
        return f"{folder}: the disk is full (no space left on device). Make room, then run the same command again."
    if not os.access(around, os.W_OK):
        return f"{folder}: nothing can be written there. Mend that, then run the same command again."
    return None
