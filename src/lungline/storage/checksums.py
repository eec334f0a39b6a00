"""Files of ours appear whole or not at all, and beside each stands a checksum: its SHA-256, and what it was made from.

The checksum of `SCAN.h5` is the hidden text file `.SCAN.h5.sha256` in the same folder, as `sha256sum` writes it:

    # stage resample, code 0123456789abcdef
    <SHA-256>  SCAN.h5
    <SHA-256>  ../ingest/SCAN.h5

so `sha256sum -c .SCAN.h5.sha256` checks a file and its inputs without lungline. Every reader of our files asks
`check` first: a file that is no longer what was written is never used. A file without a checksum (a model folder that
was copied without its hidden files) is read as before, and `lungline verify` names it.

Stage, code and inputs come from the lineage of the run that writes: `lungline.runner` begins one for every run of a
stage, `check` notes in it each file that is read.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from lungline.errors import DamagedFileError
from lungline.fingerprint import code_fingerprint

_MARK = "# stage "
_RAW = "# raw "


@dataclass
class Lineage:
    """What a run of `lungline.stages.<stage>` has read so far: files of ours, each with its SHA-256.

    `raw` holds the SHA-256 of each file of the raw scan, sorted; never their names, which may be a patient's.
    """

    stage: str
    inputs: dict[Path, str] = field(default_factory=dict)
    raw: tuple[str, ...] = ()


_current: ContextVar[Lineage | None] = ContextVar("lineage", default=None)


@contextmanager
def lineage_of(stage: str) -> Iterator[Lineage]:
    """Begin the run of a stage: what is read and written in the block is of this run alone.

    A run inside a run of the same stage (one scan of many) begins with what that one has read: models, settings.
    """
    outer = _current.get()
    lineage = Lineage(stage, dict(outer.inputs) if outer is not None and outer.stage == stage else {})
    token = _current.set(lineage)
    try:
        yield lineage
    finally:
        _current.reset(token)


@contextmanager
def unrecorded() -> Iterator[None]:
    """Read in the block what is no input: it is checked, but no lineage names it.

    So are tables that grow with every new scan (manifest, annotations): what was taken from them stands in the result.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


@dataclass(frozen=True)
class Checksum:
    """What a checksum says; `inputs` maps paths, relative to the file's folder, to their SHA-256."""

    sha256: str
    stage: str = ""
    code: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    raw: tuple[str, ...] = ()


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal; a file that has not changed is read once per process."""
    stat = os.stat(path)
    return sha256_of_this_moment(str(path), stat.st_ino, stat.st_size, stat.st_mtime_ns)


@cache
def sha256_of_this_moment(path: str, *_stamp: int) -> str:
    """SHA-256 of a file as long as inode, size and time of change stay."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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


def checksum_path(path: Path) -> Path:
    """Where the checksum of a file lies."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


@contextmanager
def checksummed_path(target: Path) -> Iterator[Path]:
    """A temporary path that becomes `target` when the block ends well, with its checksum.

    The checksum is written first: killed in between, the old file no longer fits the checksum and is made anew.
    """
    target = Path(target)
    with atomic_path(target) as temporary:
        yield temporary
        write_text(checksum_path(target), _checksum_text(target, temporary))


def write_checksummed_text(target: Path, text: str) -> None:
    """Write `text` to `target` as UTF-8, whole or not at all, with its checksum."""
    with checksummed_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _checksum_text(target: Path, content: Path) -> str:
    lines = [f"{sha256(content)}  {target.name}"]
    if lineage := _current.get():
        lines.insert(0, f"{_MARK}{lineage.stage}, code {code_fingerprint(f'lungline.stages.{lineage.stage}')}")
        inputs = {os.path.relpath(path, target.parent): digest for path, digest in lineage.inputs.items()}
        lines += [f"{digest}  {name}" for name, digest in sorted(inputs.items()) if name != target.name]
        lines += [f"{_RAW}{digest}" for digest in lineage.raw]
    return "\n".join(lines) + "\n"


def read_checksum(path: Path) -> Checksum | None:
    """The checksum of a file, or None if it has none; a damaged one fits no file."""
    try:
        lines = checksum_path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    stage, _, code = next((line[len(_MARK) :] for line in lines if line.startswith(_MARK)), "").partition(", code ")
    digests = [line.partition("  ") for line in lines if not line.startswith("#")]
    own = digests[0][0] if digests and digests[0][2] == Path(path).name else ""
    raw = tuple(line[len(_RAW) :] for line in lines if line.startswith(_RAW))
    return Checksum(own, stage, code, {name: digest for digest, _, name in digests[1:]}, raw)


def check(path: Path) -> str:
    """SHA-256 of a file of ours, now an input of the run that asks; `DamagedFileError` if its checksum says another."""
    found, checksum = sha256(path), read_checksum(path)
    if checksum is not None and checksum.sha256 != found:
        expected = checksum.sha256[:12] or "(its checksum is damaged)"
        sentence = f"{path}: changed since it was written. Expected SHA-256 {expected}. Found {found[:12]}."
        raise DamagedFileError(Path(path), sentence)
    if lineage := _current.get():
        lineage.inputs[Path(path)] = found
    return found


def quarantine(path: Path) -> str:
    """Rename a damaged file, so that the workflow makes it anew; a sentence on what was done and what to do."""
    quarantined = path.with_name(f"{path.name}.damaged")
    try:
        os.replace(path, quarantined)
    except OSError as error:
        return f"It could not be quarantined ({type(error).__name__}): remove it, then run the same command again."
    return f"It is quarantined as {quarantined.name}: run the same command again and it is made anew."


def remove(path: Path) -> None:
    """Remove a file and its checksum; missing ones are fine."""
    path.unlink(missing_ok=True)
    checksum_path(path).unlink(missing_ok=True)
