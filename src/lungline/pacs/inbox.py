"""A queue of received studies on disk: an image is in it, for good, before its sender hears of success.

`private/inbox/{study}/{modality}-{instance}.dcm`, both names digests of identifiers. An image that was refused leaves
`{instance}.refused`, so that a study with a hole that we made is not answered. When a study has been answered its
images go, and `private/answered/{study}` keeps their digests: the same images again are known.
"""

import hashlib
import itertools
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from lungline.errors import LunglineError
from lungline.pacs.part10 import Identity, identify
from lungline.pacs.study_source import Study, digest_of
from lungline.privacy.permissions import secret_folder, secret_path, write_secret

_FREE_BYTES = 1 << 28  # of the disk, that the answers may need
_STUDIES = 10_000  # in the queue
_FOR_NEW = 0.8  # of the queue; the rest is for studies of which something is here already


class FullError(LunglineError):
    """There is no room: the sender has to try again later."""


class Target(Protocol):
    """Where the objects of an answer go."""

    def put(self, file: Path) -> None:
        """Keep a copy until it has arrived."""


@dataclass
class _Held:
    """What is here of a study."""

    bytes: int = 0
    reserved: int = 0  # bytes of images that are being written
    images: int = 0
    serial: int = 0


@dataclass(frozen=True)
class Limits:
    """Of the queue and of one study, in bytes and images."""

    queue_bytes: int
    study_bytes: int
    study_images: int


class Inbox:
    """The queue, below OUT/private; a source of studies. One process has it, whose threads call `receive`."""

    stored_word: ClassVar[str] = "written"
    clock_s: ClassVar[float] = 0.0

    def __init__(self, private: Path, limits: Limits, target: Target | None) -> None:
        self._folder, self._answered, self._limits, self._target = (
            private / "inbox",
            private / "answered",
            limits,
            target,
        )
        self._lock = threading.Lock()
        self._serials = itertools.count(1)
        self._held: dict[str, _Held] = {}
        for folder in (self._folder, self._answered):
            secret_folder(folder)
        for folder in self._folder.iterdir():
            for half in (*folder.glob(".*.tmp"), *folder.glob("*.part")):  # of a process that was killed
                half.unlink()
            held = _Held(serial=self._next())
            for image in folder.glob("*.dcm"):
                held.bytes += image.stat().st_size
                held.images += 1
            self._held[folder.name] = held
        self._session = os.urandom(6).hex()

    def receive(self, content: bytes) -> None:
        """Keep a DICOM file; when this returns it survives whatever ends the process.

        Raises
        ------
        FullError
            If there is no room for it, now.
        LunglineError
            If it is no DICOM object that tells what it is.
        """
        one = identify(content)
        study, instance = _study_of(one), _digest(one.instance)
        folder = self._folder / study
        held = self._reserve(study, len(content))
        if held is None:
            self._mark_refused(folder, instance)
            raise FullError("the queue, or what is allowed of one study, is full.")
        try:
            new = not folder.is_dir()
            secret_folder(folder)
            part = folder / f"{self._next()}.part"
            with secret_path(part) as temporary:
                temporary.write_bytes(content)
            self._commit(held, part, folder / f"{one.modality}-{instance}.dcm")
            (folder / f"{instance}.refused").unlink(missing_ok=True)
            for changed in [folder, self._folder] if new else [folder]:
                _sync(changed)
        except OSError:
            self._mark_refused(folder, instance)
            raise
        finally:
            with self._lock:
                held.reserved -= len(content)
                held.serial = self._next()

    def _reserve(self, study: str, size: int) -> _Held | None:
        """Room for an image of a study, which is not quiet from now on; None if there is none."""
        limits = self._limits
        with self._lock:
            if study not in self._held and len(self._held) >= _STUDIES:
                return None
            held = self._held.setdefault(study, _Held())
            held.serial = self._next()
            total = sum(each.bytes + each.reserved for each in self._held.values())
            allowed = limits.queue_bytes * (1.0 if held.images else _FOR_NEW)
            full = total + size > allowed or _free(self._folder) < size + _FREE_BYTES
            if full or held.bytes + held.reserved + size > limits.study_bytes or held.images >= limits.study_images:
                return None
            held.reserved += size
            return held

    def _commit(self, held: _Held, part: Path, target: Path) -> None:
        """Give a written image its name."""
        with self._lock:
            size = part.stat().st_size
            if target.is_file():
                held.bytes -= target.stat().st_size
                held.images -= 1
            part.replace(target)
            held.bytes += size
            held.images += 1

    def last_change(self) -> object:
        with self._lock:
            return hash(tuple(held.serial for held in self._held.values()))

    def studies(self) -> list[Study]:
        with self._lock:
            return [self._study(name, held) for name, held in self._held.items()]

    def study(self, study: str) -> Study:
        with self._lock:
            return self._study(study, self._held.get(study) or _Held())

    def count(self, study: str) -> int:
        with self._lock:
            return self._held[study].images if study in self._held else 0

    def instances(self, study: str) -> dict[str, list[str]]:
        """Modality -> ids, `{study}/{file}`.

        Raises
        ------
        LunglineError
            If images of this study were refused and have not come since.
        """
        missing = len(list((self._folder / study).glob("*.refused")))
        if missing:
            full = "were refused because there was no room, and were not sent again"
            raise LunglineError(f"{missing} of its images {full}. Send the study once more.")
        found: dict[str, list[str]] = {}
        for path in sorted((self._folder / study).glob("*.dcm")):
            found.setdefault(path.name.partition("-")[0], []).append(f"{study}/{path.name}")
        return found

    def content(self, study: str, instances: Mapping[str, Sequence[str]]) -> str:
        """SHA-256 over ids and bytes of the CT images; that of before where these are among those.

        Raises
        ------
        LunglineError
            If there are new images, and not all that were answered before: an answer would be of half a study.
        """
        lines = sorted(f"{one.partition('/')[2]} {self._hash(one)}" for one in instances.get("CT", []))
        record = self._answered / study
        known = record.read_text(encoding="ascii").splitlines() if record.is_file() else []
        if known and set(lines) <= set(known):
            lines = sorted(known)
        elif gone := len({line.split()[0] for line in known} - {line.split()[0] for line in lines}):
            now = f"new images came to a study that was answered, without {gone} of those of before"
            raise LunglineError(f"{now}. Send the whole study once more.")
        return digest_of(lines, str.split)

    def fetch(self, instance: str, target: Path) -> None:
        try:
            os.link(self._folder / instance, target)  # of mode 0600; stays as it is when another takes its name
        except OSError:  # a file system without links
            with secret_path(target) as temporary:
                shutil.copyfile(self._folder / instance, temporary)

    def store(self, file: Path) -> str:
        if self._target is not None:
            self._target.put(file)
        return file.name

    def send(self, instances: Sequence[str], node: str) -> None:
        raise LunglineError("nodes are named when the queue is opened.")

    def done(self, study: Study) -> None:
        """Remove the images of an answered study and keep their digests, unless something came meanwhile."""
        folder = self._folder / study.id
        images = sorted(folder.glob("CT-*.dcm"))
        lines = [f"{path.name} {self._hash(f'{study.id}/{path.name}')}" for path in images]
        with self._lock:
            held = self._held.get(study.id)
            if held is None or self._study(study.id, held).updated != study.updated:
                return
            record = self._answered / study.id
            known = record.read_text(encoding="ascii").splitlines() if record.is_file() else []
            if lines and not set(lines) <= set(known):
                write_secret(record, "\n".join(lines))
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                raise LunglineError(f"{self._folder}: images of a study cannot be removed. Mend its permissions.")
            del self._held[study.id]

    def _study(self, name: str, held: _Held) -> Study:
        return Study(name, True, f"{self._session}:{held.serial}")

    def _hash(self, instance: str) -> str:
        with open(self._folder / instance, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _mark_refused(self, folder: Path, instance: str) -> None:
        try:
            secret_folder(folder)
            (folder / f"{instance}.refused").touch(0o600)
            _sync(folder)
        except OSError:  # a disk without room: the sender was told, too
            return

    def _next(self) -> int:
        return next(self._serials)


def _study_of(one: Identity) -> str:
    return _digest(f"{one.patient}\n{one.study}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _sync(folder: Path) -> None:
    """Let the names in a folder survive a loss of power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
