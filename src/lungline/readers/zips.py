"""Scans in a zip: listed without unpacking it, and unpacked only for as long as they are read.

Zips come from others. They are opened in a child process with limits (`lungline.readers.sandbox`), and refused as a
whole where a name leads out of the zip or stands twice, where an entry is a link, encrypted or a zip itself, where it
holds too many files, or where a scan in it is too large. A scan is written flat into a folder that only its owner can
read, so that no name in the zip decides where a file comes to lie; a folder that a killed process left behind is
removed by the next one.

A scan in a zip is named by a path that runs through the zip: `study.zip/series 2`.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from lungline.errors import Quarantine
from lungline.readers import metaimage
from lungline.readers.raw import MAX_FILES, looks_like_dicom, scan_suffix, source_of_name
from lungline.readers.sandbox import run_in_sandbox

MAX_UNPACKED_BYTES = 1 << 31  # of one scan
_SECONDS = 120.0
_PREFIX = "lungline-zip-"
_FORSAKEN_S = 60.0  # a folder that nobody holds and that is older was left behind
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40
_UNIX = 3  # the system whose file modes an entry may carry
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, LookupError)


def is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def place_in_zip(path: Path) -> tuple[Path, str] | None:
    """The zip that a path (or the link that it is) leads to, and the place in it, "" for its top; else None."""
    target = Path(os.path.realpath(path))
    for zip_file in (target, *target.parents):
        if is_zip(zip_file) and zip_file.is_file():
            inside = target.relative_to(zip_file).as_posix()
            return zip_file, "" if inside == "." else inside
    return None


def scans_in_zip(zip_file: Path) -> list[tuple[Path, str]]:
    """(path, source) of every scan in a zip, as `lungline.readers.listing` finds them in a folder.

    A zip that is refused is one scan by itself, so that it gets a row; `unpacked` says why.
    """
    try:
        found = _apart(lambda: _scans(zip_file))
    except Quarantine:
        return [(zip_file, "dicom")]
    return [(zip_file / place, source) for place, source in found]


@contextmanager
def unpacked(path: Path, source: str) -> Iterator[Path]:
    """Where a scan can be read: `path` itself, or, of a scan in a zip, a private copy that is gone afterwards.

    `Quarantine` with `Q_BAD_ZIP`, `Q_LIMIT`, or as `run_in_sandbox` does.
    """
    place = place_in_zip(path)
    if place is None:
        yield path
        return
    with _private_folder() as folder:
        yield folder / _apart(lambda: _unpack(*place, source, folder))


def _apart(work: Callable[[], Any]) -> Any:
    """The answer of `work`, from a child process; whatever a zip makes the library raise, the zip is bad."""

    def guarded() -> tuple[Any, Any]:
        try:
            return np.zeros(1, np.int16), work()
        except _FAULTS as error:
            raise Quarantine("Q_BAD_ZIP", f"it cannot be read as a zip ({type(error).__name__})") from None

    return run_in_sandbox(guarded, seconds=_SECONDS)[1]


def _entries(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The files of a zip without hidden ones; a zip that is not as an honest one is refused."""
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise Quarantine("Q_LIMIT", f"the zip holds {len(infos)} entries; at most {MAX_FILES}")
    if len({info.filename for info in infos}) < len(infos):
        raise Quarantine("Q_BAD_ZIP", "a name stands in it twice")
    for info in infos:
        if fault := _fault(info):
            raise Quarantine("Q_BAD_ZIP", fault)
    return [info for info in infos if not info.is_dir() and not _is_hidden(info.filename)]


def _fault(info: zipfile.ZipInfo) -> str:
    """What makes an entry one that is never unpacked, or nothing; without its name, which may be a patient's."""
    name = info.orig_filename
    parts = name.removesuffix("/").split("/")
    if "\\" in name or "\0" in name or ":" in parts[0] or any(part in ("", ".", "..") for part in parts):
        return "a name in it leads out of the zip, or is no plain path"
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it holds a link or a device"
    if info.is_dir():
        return ""
    if info.flag_bits & _ENCRYPTED:
        return "it is encrypted; unpack it yourself and name the folder"
    if info.compress_type not in _METHODS:
        return f"it is packed by method {info.compress_type}; only plain zips are read (stored, deflated)"
    if is_zip(Path(name)):
        return "it holds another zip; unpack it yourself and name the folder"
    return ""


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _scans(zip_file: Path) -> list[tuple[str, str]]:
    found = []
    with zipfile.ZipFile(zip_file) as archive:

        def start_of(path: Path) -> bytes:
            with archive.open(path.as_posix()) as handle:
                return handle.read(132)

        folders: dict[str, list[str]] = defaultdict(list)
        for info in _entries(archive):
            folders[info.filename.rpartition("/")[0]].append(info.filename)
        for folder, names in sorted(folders.items()):
            if looks_like_dicom(sorted(map(Path, names)), start_of):
                found.append((folder, "dicom"))
            found += [(name, source_of_name(name)) for name in sorted(names) if scan_suffix(name)]
    return found


def _unpack(zip_file: Path, place: str, source: str, folder: Path) -> str:
    """Write the files of a scan into `folder`; the name of the one that is the scan, or "" for the folder."""
    with zipfile.ZipFile(zip_file) as archive:
        entries = {info.filename: info for info in _entries(archive)}
        if source == "dicom":
            _write(archive, [info for name, info in entries.items() if name.rpartition("/")[0] == place], folder)
            return ""
        if place not in entries:
            raise Quarantine("Q_UNREADABLE", "the zip no longer holds the scan")
        _write(archive, [entries[place]], folder)
        name = PurePosixPath(place).name
        if source == "mhd":
            pixels = metaimage.data_file_name(folder / name)
            beside = str(PurePosixPath(place).with_name(pixels)) if PurePosixPath(pixels).name else place
            if beside != place and beside in entries:
                _write(archive, [entries[beside]], folder)
        return name


def _write(archive: zipfile.ZipFile, wanted: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    size = sum(info.file_size for info in wanted)  # the library stops reading an entry there, whatever it holds
    if size > MAX_UNPACKED_BYTES:
        raise Quarantine("Q_LIMIT", f"unpacked, the scan takes {size} bytes; at most {MAX_UNPACKED_BYTES}")
    for info in wanted:
        with archive.open(info) as packed, open(folder / PurePosixPath(info.filename).name, "xb") as file:
            shutil.copyfileobj(packed, file, 1 << 20)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A temporary folder of mode 0700; held by a lock of the kernel, so that one left by a kill is known as such."""
    _remove_forsaken(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name:
        handle = os.open(name, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield Path(name)
        finally:
            os.close(handle)


def _remove_forsaken(folder: Path) -> None:
    for path in folder.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = path.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if not ours or time.time() - found.st_mtime < _FORSAKEN_S:
                continue
            handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(handle)
