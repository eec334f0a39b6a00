"""Whether the raw files of a scan have changed, and how large it may be, seen without reading them."""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lungline.readers.by_format import reader_of
from lungline.readers.raw import MAX_VOXELS
from lungline.readers.studies import place_of_study
from lungline.readers.zips import place_in_zip
from lungline.scan_formats import FORMATS

_ADULT_VOXELS, _ADULT_SHARE = 300 * 512 * 512, 0.4
_COMPRESSED = 4  # times smaller than its voxels, such a file
_COMPRESSED_ENDS = (".zraw", ".gz", ".zip")
_SLICE_BYTES = 512 * 512 * 2  # of a DICOM file that is smaller, since it is compressed


@dataclass(frozen=True)
class RawState:
    """What a workflow may store of a scan's raw files, since it tells nothing about the scan."""

    #: Sixteen hex digits of a SHA-256 over name, size, time of change and permissions of each file: they change when a
    #: file is changed, added, removed or made readable.
    digest: str
    #: About as many as the scan may have, judged by the sizes of its files.
    voxels: int


def share_of_memory(voxels: Iterable[int]) -> float:
    """What a step takes for the largest of these scans, in shares of what it takes for the largest one accepted.

    Four tenths for an adult at 1 mm, which a scan of few thick slices becomes, too; from there in proportion.
    """
    above = max(0, max(voxels, default=0) - _ADULT_VOXELS)
    return min(1.0, _ADULT_SHARE + (1 - _ADULT_SHARE) * above / (MAX_VOXELS - _ADULT_VOXELS))


def raw_state(path: Path, source: str) -> RawState:
    """Look at the raw files of a scan, which may be missing, without opening one (but headers)."""
    try:
        found = sorted(_described_files(path, source))
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
        found = [(type(error).__name__, 0)]
    lines = "\0".join(line for line, _ in found).encode(errors="surrogateescape")
    return RawState(hashlib.sha256(lines).hexdigest()[:16], sum(size for _, size in found) // 2)


def _described_files(path: Path, source: str) -> Iterator[tuple[str, int]]:
    """Of each file a line that changes with it, and the bytes that its voxels may take."""
    if study := place_of_study(path):
        path = study[0]
    if place := place_in_zip(path):
        yield from ((line, _COMPRESSED * size) for line, size in _described([(place[1], place[0])]))
        return
    path = Path(path).resolve(strict=True)
    if path.is_dir():
        with os.scandir(path) as entries:
            yield from _described(((e.name, e) for e in entries if not e.name.startswith(".")), _SLICE_BYTES)
    else:
        files = reader_of(source).files_of(path) if FORMATS[source].suffixes else [path]
        yield from _described((file.name, file) for file in files)


def _described(files: Iterable[tuple[str, os.DirEntry[str] | Path]], least: int = 0) -> Iterator[tuple[str, int]]:
    for name, file in files:
        try:
            found = file.stat()
            line = f"{name} {found.st_size} {found.st_mtime_ns} {found.st_mode}"
            times = _COMPRESSED if name.lower().endswith(_COMPRESSED_ENDS) else 1
            yield line, max(times * found.st_size, least)
        except OSError as error:  # a link that leads nowhere is a change, too, once it leads somewhere
            yield f"{name} {type(error).__name__}", 0
