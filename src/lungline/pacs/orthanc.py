"""An Orthanc server, by its REST interface: what arrived, the images, and the way back."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, Field, StringConstraints, TypeAdapter, ValidationError

from lungline.escape import visible
from lungline.pacs.bounded_http import checked_url, request
from lungline.pacs.study_source import NonsenseError, RefusedError, Study, digest_of
from lungline.privacy.permissions import secret_path

_SECONDS = 120.0  # of a question; an image may take ten times as long
_MAX_JSON_BYTES = 1 << 28  # 100,000 studies and more
_MAX_IMAGE_BYTES = 1 << 31
_MD5 = re.compile("[0-9a-f]{32}")
T = TypeVar("T")

#: An identifier of Orthanc: it becomes a part of URLs, so it must not be anything else.
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{8}){4}$")]


class _Change(BaseModel):
    Last: int


class _Study(BaseModel):
    ID: Id
    IsStable: bool
    LastUpdate: str = Field("", max_length=64)


class _Tags(BaseModel):
    Modality: str = Field("", max_length=64)


class _Series(BaseModel):
    MainDicomTags: _Tags
    Instances: list[Id]


class _Statistics(BaseModel):
    CountInstances: int


class _Instance(BaseModel):
    FileUuid: str = Field(max_length=64)


class _Stored(BaseModel):
    ID: Id


@dataclass(frozen=True)
class Orthanc:
    """A server at `url` (http without a scheme); user and password are looked up in ~/.netrc."""

    url: str
    stored_word: ClassVar[str] = "stored"
    clock_s: ClassVar[float] = 1.1  # it tells arrivals to the second

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", checked_url(self.url))

    def last_change(self) -> int:
        """A number that grows with everything that happens there."""
        return self._ask("changes?last", _Change).Last

    def studies(self) -> list[Study]:
        """All studies that it holds."""
        return [_study(item) for item in self._ask("studies?expand", list[_Study])]

    def study(self, study: str) -> Study:
        """One study, as it is now."""
        return _study(self._ask(f"studies/{study}", _Study))

    def instances(self, study: str) -> dict[str, list[str]]:
        """Modality -> ids of all its instances in a study."""
        found: dict[str, list[str]] = {}
        for series in self._ask(f"studies/{study}/series", list[_Series]):
            found.setdefault(series.MainDicomTags.Modality, []).extend(series.Instances)
        return found

    def count(self, study: str) -> int:
        """How many instances a study has."""
        return self._ask(f"studies/{study}/statistics", _Statistics).CountInstances

    def digest(self, instance: str) -> str:
        """Of the bytes of an instance, whose id stays when other bytes take its place; by Orthanc's own MD5."""
        try:
            found = self._request(f"instances/{instance}/attachments/dicom/md5").strip().decode("ascii", "replace")
        except RefusedError:  # where it keeps none (StoreMD5ForAttachments)
            return self._ask(f"instances/{instance}", _Instance).FileUuid
        if not _MD5.fullmatch(found):
            raise NonsenseError(f"{self.url}: the MD5 of an image is none. Look at what runs there.")
        return found

    def content(self, study: str, instances: Mapping[str, Sequence[str]]) -> str:
        """SHA-256 over ids and bytes of the CT images."""
        return digest_of(instances.get("CT", []), self.digest)

    def fetch(self, instance: str, target: Path) -> None:
        """Write an instance to a file of mode 0600; `NonsenseError` if it has not the MD5 that the server keeps."""
        digest = self.digest(instance)
        content = self._request(f"instances/{instance}/file", max_bytes=_MAX_IMAGE_BYTES, seconds=10 * _SECONDS)
        if _MD5.fullmatch(digest) and hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
            raise NonsenseError(f"{self.url}: an image came that has not its MD5. Look at what runs there.")
        with secret_path(target) as temporary:
            temporary.write_bytes(content)

    def store(self, file: Path) -> str:
        """Store a DICOM file; the id of the instance. One that is there already is not stored again."""
        return self._ask("instances", _Stored, file.read_bytes()).ID

    def send(self, instances: Sequence[str], node: str) -> None:
        """Let it send instances to a DICOM node that its configuration knows by this name."""
        path = f"modalities/{quote(node, safe='')}/store"
        self._request(path, json.dumps(instances).encode(), seconds=10 * _SECONDS)

    def done(self, study: Study) -> None:
        """Its images stay in the archive."""

    def _ask(self, path: str, shape: type[T], body: bytes | None = None) -> T:
        """An answer in JSON, of this shape; `NonsenseError` if it is of another."""
        answer = self._request(path, body)
        try:
            return TypeAdapter(shape).validate_json(answer)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"])) or "all of it"
            what = f"'{_what(path)}' is answered in a way that no Orthanc answers ({where}: {fault['type']})"
            raise NonsenseError(f"{self.url}: {what}. Look at what runs there.") from None

    def _request(
        self,
        path: str,
        body: bytes | None = None,
        *,
        max_bytes: int = _MAX_JSON_BYTES,
        seconds: float = _SECONDS,
    ) -> bytes:
        """The answer to a GET, or to a POST of `body`; `RefusedError` if the server refuses."""
        reply = request(f"{self.url}/{path}", body, seconds=seconds, max_bytes=max_bytes)
        if reply.status == 200:
            return reply.body
        hint = {401: " Put user and password into ~/.netrc."}.get(reply.status, "")
        if 300 <= reply.status < 400:
            hint = " It points to another address, which is not followed. Name that one, if it is yours."
        reason = visible(reply.reason[:80])
        raise RefusedError(f"{self.url}: Orthanc refuses '{_what(path)}' with {reply.status} {reason}.{hint}")


def _what(path: str) -> str:
    return path.partition("/")[0].partition("?")[0]


def _study(item: _Study) -> Study:
    return Study(item.ID, item.IsStable, item.LastUpdate)
