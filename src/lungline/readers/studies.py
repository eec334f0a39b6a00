"""The patients and studies in a folder of DICOM files: where there are several, each is a scan of its own.

Such a scan is named by a path that runs through the folder, `folder/#ID_DATE_HASH`, as one in a zip is. The name holds
identifiers, like every path of a scan: it stands in `private/` alone.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pydicom

from lungline.errors import Quarantine
from lungline.readers.deflated import check_inflated_stream
from lungline.readers.dicom_headers import quiet, regular_files
from lungline.readers.dicom_sniff import START_BYTES, Counted, begins_as_dicom, gunzipped, lacks_preamble
from lungline.readers.owners import TAGS, groups_of, owner_of
from lungline.readers.sandbox import run_in_sandbox
from lungline.readers.stack import MIN_SLICES

#: How a file is opened, where it lies in no folder.
Opener = Callable[[Path], BinaryIO]
_TAGS: list[Any] = [*map(pydicom.tag.Tag, (*TAGS, "Modality", "StudyDate"))]
_NAME = re.compile(r"#.*_[0-9a-f]{10}\Z")
_LAST_TAG = pydicom.tag.Tag("StudyInstanceUID")  # elements are sorted: nothing is read beyond
_NO_IMAGES = {"SR", "PR", "KO", "DOC", "AU", "RTSTRUCT", "RTPLAN", "REG", "PLAN"}
_START_BYTES = 8192
_LONGEST = 320  # bytes of a name or a UID
_MANY_FRAMES_BYTES = 1 << 22  # a file above this holds more than a slice


def place_of_study(path: Path) -> tuple[Path, str] | None:
    """The folder that a path (or the link that it is) runs through, and the study in it; None for any other path."""
    target = Path(os.path.realpath(path))
    return (target.parent, target.name) if _NAME.match(target.name) and not target.exists() else None


def scans_of_folder(folder: Path) -> list[Path]:
    """A path for each patient and study whose images lie directly in a folder; the folder itself if it is one, or none.

    The headers are read in a child process; a folder that is too much for it is one scan, which then says why.
    """

    def work() -> tuple[np.ndarray, list[str]]:
        files = regular_files(folder)
        return np.zeros(1, np.int16), [] if _begin_alike(files) else sorted(studies_among(files))

    try:
        names = run_in_sandbox(work)[1]
    except Quarantine:
        names = []
    return [folder / name for name in names] if len(names) > 1 else [folder]


def _begin_alike(files: Sequence[Path]) -> bool:
    """Whether all files name patient and study in the bytes of the first: then no header needs to be understood."""
    marks: list[bytes] = []
    for path in files:
        with open(path, "rb") as file:
            start = file.read(_START_BYTES)
        marks = marks or _marks_of(start)
        if not marks or not all(mark in start for mark in marks):
            return False
    return True


def _marks_of(start: bytes) -> list[bytes]:
    """The elements that name patient and study, as they stand in the first bytes of a file; empty if one is missing."""
    marks = []
    for tag in map(pydicom.tag.Tag, TAGS):
        name = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
        at = start.find(name)
        explicit = start[at + 4 : at + 6].isalpha()
        length = int.from_bytes(start[at + 6 : at + 8] if explicit else start[at + 4 : at + 8], "little")
        if at < 0 or length > _LONGEST:
            return []
        marks.append(start[at : at + 8 + length])
    return marks if re.fullmatch(rb"[0-9.]{5,64}\0?", marks[-1][8:]) else []


def files_of_study(folder: Path, name: str) -> list[Path]:
    """The files of one study of a folder, with those that are no study's; call in a child process.

    `Quarantine` if the folder does not hold the study any more.
    """
    files = regular_files(folder)
    studies = studies_among(files)
    if name not in studies:
        raise Quarantine("Q_UNREADABLE", "the folder no longer holds the study")
    others = {path for study, paths in studies.items() if study != name for path in paths}
    return [path for path in files if path not in others]


def studies_among(files: Sequence[Path], opener: Opener | None = None) -> dict[str, list[Path]]:
    """The images of each patient and study, by a name that stays the same when others come or go.

    Files without patient or study are no study's. All files are one study where nearly each has a study of its own:
    that is what a careless anonymisation leaves.
    """
    found: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    dates: dict[tuple[str, ...], str] = {}
    with quiet():
        for path in files:
            if record := _owner_and_date(path, opener):
                found[record[:-1]].append(path)
                dates.setdefault(record[:-1], record[-1])
    groups: dict[int, list[tuple[str, ...]]] = defaultdict(list)
    for owner, number in groups_of(found).items():
        groups[number].append(owner)
    paths = {
        _name_of(owners, dates[owners[0]]): [p for owner in owners for p in found[owner]] for owners in groups.values()
    }
    every = [path for several in paths.values() for path in several]
    single = len(every) < MIN_SLICES * len(paths)
    if single and opener is None and all(path.stat().st_size < _MANY_FRAMES_BYTES for path in every):
        return {"": every}
    return paths


def _name_of(owners: Sequence[tuple[str, ...]], date: str) -> str:
    merged = [next(filter(None, parts), "") for parts in zip(*owners, strict=True)]
    digest = hashlib.sha256("\0".join(merged).encode()).hexdigest()[:10]
    words = re.sub(r"[^A-Za-z0-9.-]+", "-", merged[0])[:40], re.sub(r"\D", "", date)[:8]
    return "#" + "_".join([*filter(None, words), digest]) if any(words) else f"#study_{digest}"


def _owner_and_date(path: Path, opener: Opener | None) -> tuple[str, ...] | None:
    """Whose image a file is, and the date of the study; None if it is none, or does not say."""
    try:
        with gunzipped(opener(path) if opener else open(path, "rb")) as file:
            start = file.read(START_BYTES)
            if not begins_as_dicom(start):
                return None
            file.seek(0)
            check_inflated_stream(file)
            file.seek(0)
            header = pydicom.filereader.read_partial(
                cast(BinaryIO, Counted(file)),
                stop_when=lambda tag, vr, length: tag > _LAST_TAG,
                specific_tags=_TAGS,
                force=lacks_preamble(start),
            )
        if str(header.get("Modality", "")) in _NO_IMAGES:
            return None
        owner = owner_of(header)
        return (*owner, str(header.get("StudyDate") or "")) if any(owner) else None
    except (OSError, MemoryError):
        raise
    except Exception:  # pydicom raises about nine kinds of exception on damaged files
        return None
