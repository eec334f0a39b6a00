"""Files appear whole or not at all: written to a temporary name, flushed to disk, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """A temporary path in the target's folder, renamed to `target` when the block ends well.

    The folder is made if missing. When the block raises, the temporary file is removed and an older
    `target` stays as it was.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(target: Path, text: str) -> None:
    """Write `text` to `target` as UTF-8, whole or not at all."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_secret(target: Path, text: str) -> None:
    """Write a file that only its owner can read, in a folder that only its owner can enter."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    target.parent.chmod(0o700)  # a workflow makes the folders of its outputs for everybody
    if target.is_file() and target.read_text(encoding="utf-8") == text:
        return
    with atomic_path(target) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(text, encoding="utf-8")
