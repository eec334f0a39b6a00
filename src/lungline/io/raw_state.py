"""Whether the raw files of a scan have changed, seen without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lungline.io.metaimage import files_of
from lungline.io.zips import place_in_zip


def raw_state(path: Path, source: str) -> str:
    """Sixteen hex digits that change when a file of the scan is changed, added, removed or made readable.

    Parameters
    ----------
    path : Path
        Folder of DICOM files, a file, a place in a zip, or a link to one; it may be missing.
    source : "dicom", "mhd" or "nifti"

    Returns
    -------
    str
        Start of a SHA-256 over name, size, time of change and permissions of each file: what a workflow may
        store, since it tells nothing about the scan.
    """
    try:
        lines = sorted(_lines(path, source))
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        lines = [type(error).__name__]
    return hashlib.sha256("\0".join(lines).encode(errors="surrogateescape")).hexdigest()[:16]


def _lines(path: Path, source: str) -> Iterator[str]:
    if place := place_in_zip(path):
        yield from _described([(place[1], place[0])])
        return
    path = Path(path).resolve(strict=True)
    if path.is_dir():
        with os.scandir(path) as entries:
            yield from _described((entry.name, entry) for entry in entries if not entry.name.startswith("."))
    else:
        files = files_of(path) if source == "mhd" else [path]
        yield from _described((file.name, file) for file in files)


def _described(files: Iterable[tuple[str, os.DirEntry[str] | Path]]) -> Iterator[str]:
    for name, file in files:
        try:
            found = file.stat()
            yield f"{name} {found.st_size} {found.st_mtime_ns} {found.st_mode}"
        except OSError as error:  # a link that leads nowhere is a change, too, once it leads somewhere
            yield f"{name} {type(error).__name__}"
