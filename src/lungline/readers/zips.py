"""Scans in a zip: listed without unpacking it, and unpacked only for as long as they are read.

Zips come from others. They are opened in a child process with limits (`lungline.readers.sandbox`), and refused as a
whole where a name leads out of the zip or stands twice, where an entry is a link or encrypted, where it holds too many
files, or where a scan in it is too large. A zip in a zip is read as a folder of it; one in that one is refused. A scan
is written flat into a folder that only its owner can read, so that no name in the zip decides where a file comes to
lie; a folder that a killed process left behind is removed by the next one.

A scan in a zip is named by a path that runs through the zip: `study.zip/series 2`, `all.zip/study.zip/series 2`.
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
from typing import Any, BinaryIO, cast

import numpy as np

from lungline import limits
from lungline.errors import Quarantine
from lungline.readers.by_format import is_scan, reader_of
from lungline.readers.census import NO_SCANS, Census
from lungline.readers.dicom_sniff import beside_dicom, looks_like_dicom, start_of_stream
from lungline.readers.raw import MAX_FILES
from lungline.readers.sandbox import run_in_sandbox
from lungline.readers.studies import files_of_study, place_of_study, studies_among
from lungline.scan_formats import FORMATS, source_of_name

MAX_UNPACKED_BYTES = limits.MAX_UNPACKED_BYTES
_SECONDS = limits.ZIP_SECONDS
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


def scans_in_zip(zip_file: Path, census: Census | None = None) -> list[tuple[Path, str]]:
    """(path, source) of every scan in a zip, as `lungline.readers.listing` finds them in a folder.

    A zip that is refused is one scan by itself, so that it gets a row; `unpacked` says why, also of one in
    a zip. What is passed over is counted in `census`.
    """

    def work() -> tuple[list[tuple[str, str]], dict[str, int]]:
        passed_over = Census()
        return _scans(zip_file, passed_over), passed_over.told()

    try:
        found, counts = _apart(work)
    except Quarantine:
        return [(zip_file, "dicom")]
    if census is not None:
        census.add(counts if found else {**counts, NO_SCANS: 1})
    return [(zip_file / place, source) for place, source in found]


@contextmanager
def unpacked(path: Path, source: str) -> Iterator[Path]:
    """Where a scan can be read: `path` itself, or, of a scan in a zip, a private copy that is gone afterwards.

    Of one of several studies in a folder (or a folder in a zip) it is a private folder of links to its files.
    `Quarantine` with `Q_BAD_ZIP`, `Q_LIMIT`, `Q_UNREADABLE`, or as `run_in_sandbox` does.
    """
    if study := place_of_study(path):
        with unpacked(study[0], source) as folder, _private_folder() as chosen:
            for file in map(Path, _apart(lambda: [str(path) for path in files_of_study(folder, study[1])])):
                (chosen / file.name).symlink_to(file.absolute())
            yield chosen
        return
    place = place_in_zip(path)
    if place is None:
        yield path
        return
    with _private_folder() as folder:
        yield folder / _apart(lambda: _unpack(*place, source, folder))


def is_inside(path: Path) -> bool:
    """Whether a path that does not exist (or the link to it) names a scan in a zip, or one of several in a folder."""
    study = place_of_study(path)
    return study[0].is_dir() or is_inside(study[0]) if study else place_in_zip(path) is not None


def _apart(work: Callable[[], Any]) -> Any:
    """The answer of `work`, from a child process; whatever a zip makes the library raise, the zip is bad."""

    def guarded() -> tuple[Any, Any]:
        try:
            return np.zeros(1, np.int16), work()
        except _FAULTS as error:
            raise Quarantine("Q_BAD_ZIP", f"it cannot be read as a zip ({type(error).__name__})") from None

    return run_in_sandbox(guarded, seconds=_SECONDS)[1]


def _entries(archive: zipfile.ZipFile, *, inner: bool = False) -> list[zipfile.ZipInfo]:
    """The files of a zip (or of an `inner` one) without hidden ones; a zip that is not as an honest one is refused."""
    _mend_separators(archive)
    infos = archive.infolist()
    if len(infos) > MAX_FILES:
        raise Quarantine("Q_LIMIT", f"the zip holds {len(infos)} entries; at most {MAX_FILES}")
    if len({info.filename for info in infos}) < len(infos):
        raise Quarantine("Q_BAD_ZIP", "a name stands in it twice")
    for info in infos:
        fault = _fault(info)
        if not fault and inner and not info.is_dir() and is_zip(Path(info.filename)):
            fault = "it lies in a zip and holds another one; unpack it yourself and name the folder"
        if fault:
            raise Quarantine("Q_BAD_ZIP", fault)
    return [info for info in infos if not info.is_dir() and not _is_hidden(info.filename)]


def _mend_separators(archive: zipfile.ZipFile) -> None:
    """Programs under Windows part folders by backslashes, against the format; no other name of a zip has one."""
    for info in archive.infolist():
        if "\\" in info.filename and "/" not in info.filename:
            info.filename = info.filename.replace("\\", "/")
            archive.NameToInfo[info.filename] = info


def _fault(info: zipfile.ZipInfo) -> str:
    """What makes an entry one that is never unpacked, or nothing; without its name, which may be a patient's."""
    name = info.filename if info.filename == info.orig_filename.replace("\\", "/") else info.orig_filename
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
    return ""


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


@contextmanager
def _inner_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[zipfile.ZipFile]:
    """A zip that lies in a zip, in a file without a name."""
    _check_unpacked([info])
    with archive.open(info) as packed, tempfile.TemporaryFile() as file:
        shutil.copyfileobj(packed, file, 1 << 20)
        with zipfile.ZipFile(file) as inner:
            yield inner


def _scans(zip_file: Path, census: Census) -> list[tuple[str, str]]:
    found = []
    with zipfile.ZipFile(zip_file) as archive:
        entries = _entries(archive)
        found += _scans_among(archive, entries, census)
        for info in entries:
            if is_zip(Path(info.filename)):
                found += [
                    (f"{info.filename}/{place}".rstrip("/"), source)
                    for place, source in _scans_inside(archive, info, census)
                ]
    return found


def _scans_inside(archive: zipfile.ZipFile, info: zipfile.ZipInfo, census: Census) -> list[tuple[str, str]]:
    """The scans of a zip in a zip; one that is refused is one scan by itself."""
    try:
        with _inner_zip(archive, info) as inner:
            found = _scans_among(inner, _entries(inner, inner=True), census)
        census.add({} if found else {NO_SCANS: 1})
        return found
    except (Quarantine, *_FAULTS):
        return [("", "dicom")]


def _scans_among(archive: zipfile.ZipFile, entries: Sequence[zipfile.ZipInfo], census: Census) -> list[tuple[str, str]]:
    def start_of(path: Path) -> bytes:
        with archive.open(path.as_posix()) as handle:
            return start_of_stream(handle)

    found = []
    folders: dict[str, list[str]] = defaultdict(list)
    for info in entries:
        folders[info.filename.rpartition("/")[0]].append(info.filename)
    for folder, names in sorted(folders.items()):
        scans = [name for name in sorted(names) if is_scan(Path(name), start_of)]
        others = [name for name in sorted(names) if name not in scans and not is_zip(Path(name))]
        dicom = looks_like_dicom(list(map(Path, others)), start_of)
        if dicom:
            studies = studies_among([*map(Path, others)], lambda path: cast(BinaryIO, archive.open(path.as_posix())))
            several = sorted(studies) if len(studies) > 1 else [""]
            others = beside_dicom(list(map(Path, others)), start_of)
            found += [("/".join(filter(None, (folder, study))), "dicom") for study in several]
        found += [(name, source_of_name(name)) for name in scans]
        census.pass_over(others, scans, dicom=dicom)
    return found


def _unpack(zip_file: Path, place: str, source: str, folder: Path) -> str:
    """Write the files of a scan into `folder`; the name of the one that is the scan, or "" for the folder."""
    with zipfile.ZipFile(zip_file) as archive:
        entries = _entries(archive)
        for info in entries:
            if is_zip(Path(info.filename)) and f"{place}/".startswith(f"{info.filename}/"):
                with _inner_zip(archive, info) as inner:
                    inside = place[len(info.filename) + 1 :]
                    return _unpack_from(inner, _entries(inner, inner=True), inside, source, folder)
        return _unpack_from(archive, entries, place, source, folder)


def _unpack_from(
    archive: zipfile.ZipFile, infos: Sequence[zipfile.ZipInfo], place: str, source: str, folder: Path
) -> str:
    entries = {info.filename: info for info in infos}
    if not FORMATS[source].suffixes:
        _write(archive, [info for name, info in entries.items() if name.rpartition("/")[0] == place], folder)
        return ""
    if place not in entries:
        raise Quarantine("Q_UNREADABLE", "the zip no longer holds the scan")
    _write(archive, [entries[place]], folder)
    name = PurePosixPath(place).name
    beside = {other.removeprefix("./").casefold() for other in reader_of(source).names_beside(folder / name)}
    where = place[: -len(name)]
    others = [other for other in entries if other != place and other.removeprefix(where).casefold() in beside]
    _write(archive, [entries[other] for other in others if other.startswith(where)], folder)
    return name


def _check_unpacked(wanted: Sequence[zipfile.ZipInfo]) -> None:
    size = sum(info.file_size for info in wanted)  # the library stops reading an entry there, whatever it holds
    if size > MAX_UNPACKED_BYTES:
        raise Quarantine("Q_LIMIT", f"unpacked, the scan takes {size} bytes; at most {MAX_UNPACKED_BYTES}")


def _write(archive: zipfile.ZipFile, wanted: Sequence[zipfile.ZipInfo], folder: Path) -> None:
    _check_unpacked(wanted)
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
