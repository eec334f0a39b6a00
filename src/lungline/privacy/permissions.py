"""Files that only their owner can read, from the first byte on and whatever the umask says."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lungline.errors import LunglineError
from lungline.storage.checksums import atomic_path

_OTHERS = 0o077


def open_to_others(path: Path) -> bool:
    """Whether anybody but the owner has a right on a file or folder."""
    return bool(path.stat().st_mode & _OTHERS)


def secret_folder(path: Path) -> None:
    """Make a folder of mode 0700; of one that is there already the permissions are restricted, with a word about it."""
    if path.is_dir():
        restrict_permissions(path)
        return
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)  # the umask may have taken rights from the owner


def write_secret(path: Path, text: str) -> None:
    """Write a file of mode 0600, whole or not at all; of one with the same text only the permissions are restricted."""
    secret_folder(path.parent)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        restrict_permissions(path)
        return
    with secret_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def secret_path(path: Path) -> Iterator[Path]:
    """An empty temporary file of mode 0600, renamed to `path` when the block ends well; to be filled, not replaced."""
    with atomic_path(path) as temporary:
        temporary.unlink(missing_ok=True)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.fchmod(handle, 0o600)
        os.close(handle)
        yield temporary


def restrict_permissions(path: Path) -> None:
    """Take all rights from everybody but the owner, and say so on stderr; nothing happens where they have none.

    `LunglineError` if the file belongs to somebody else.
    """
    if not open_to_others(path):
        return
    before = path.stat().st_mode & 0o777
    try:
        path.chmod(before & ~_OTHERS)
    except PermissionError:
        raise LunglineError(f"{path}: others can read it, and it is not yours. Use a folder of your own.") from None
    if open_to_others(path):
        print(f"{path}: others can read it, and this file system does not change that. Move it.", file=sys.stderr)
    else:
        print(f"{path}: others had rights on it (mode {before:o}); now it is yours alone.", file=sys.stderr)
