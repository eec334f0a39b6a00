"""What an archive or a queue of studies must be able to do, so that its studies can be answered.

`pacs.orthanc`, `pacs.dicom_web` and `pacs.inbox` are such sources; `pacs.answering` asks them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from lungline.errors import LunglineError


class NonsenseError(LunglineError):
    """The server answers something that no such server says."""


class RefusedError(LunglineError):
    """The server answers with another status than was hoped for."""


@dataclass(frozen=True)
class Study:
    """A study that a source holds."""

    #: The source's; made of identifiers, so it belongs into a private folder.
    id: str
    #: Whether the source itself takes it for complete. Orthanc says so after `StableAge` of its configuration; after a
    #: restart of every study, however much of it is still on its way.
    stable: bool
    #: Another word whenever something has arrived.
    updated: str


class StudySource(Protocol):
    """Where studies come from and their answers go; every method may raise `UnreachableError` or `NonsenseError`."""

    #: What came of the answer's objects, in a word.
    stored_word: ClassVar[str]
    #: How long two arrivals may look like one in `Study.updated`.
    clock_s: ClassVar[float]

    def last_change(self) -> object:
        """Another value whenever anything may have happened."""

    def studies(self) -> list[Study]:
        """All studies that may need an answer."""

    def study(self, study: str) -> Study:
        """One study, as it is now."""

    def instances(self, study: str) -> dict[str, list[str]]:
        """Modality -> ids of all its instances in a study."""

    def count(self, study: str) -> int:
        """How many instances a study has."""

    def content(self, study: str, instances: Mapping[str, Sequence[str]]) -> str:
        """A digest of the CT images: another one where an answer is out of date."""

    def fetch(self, instance: str, target: Path) -> None:
        """Write an instance to a file of mode 0600."""

    def store(self, file: Path) -> str:
        """Give a DICOM file of the answer back; the source's id of it."""

    def send(self, instances: Sequence[str], node: str) -> None:
        """Send stored instances on to a DICOM node."""

    def done(self, study: Study) -> None:
        """The journal holds what came of a study as it was then."""


def digest_of(instances: Iterable[str], digest: Callable[[str], Any]) -> str:
    """SHA-256 over ids and digests of images: one that was replaced under its id is another."""
    return hashlib.sha256("\n".join(sorted(f"{one} {digest(one)}" for one in instances)).encode()).hexdigest()
