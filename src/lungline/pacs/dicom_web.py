"""An archive by DICOMweb (PS3.18): QIDO-RS finds, WADO-RS fetches, STOW-RS stores.

Studies are asked for by modality, series and instances by UID; nothing is ever searched by a patient's name.

Own HTTP: dicomweb-client 0.61 reads a reply of any length whole, follows redirects with the login in hand, takes
proxies from the environment, and ends a reply that drips never (it sets no limit of total time).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from lungline.errors import LunglineError
from lungline.escape import visible
from lungline.pacs import multipart
from lungline.pacs.bounded_http import Reply, checked_url, request
from lungline.pacs.part10 import identify, is_uid
from lungline.pacs.study_source import NonsenseError, RefusedError, Study, digest_of
from lungline.privacy.permissions import secret_path

_SECONDS = 120.0  # of a question; an image may take ten times as long
_MAX_JSON_BYTES = 1 << 26  # of a page
_MAX_IMAGE_BYTES = 1 << 31
_PAGE = 500
_MOST_ROWS = 1_000_000
_JSON = "application/dicom+json"
_STUDY_UID, _SERIES_UID, _INSTANCE_UID, _MODALITY = "0020000D", "0020000E", "00080018", "00080060"
_SERIES_COUNT, _INSTANCES_COUNT = "00201206", "00201208"
_FAILED, _REASON = "00081198", "00081197"
_IS_THERE_ALREADY = 0x0111
Row = dict[str, Any]
_ROWS, _ROW = TypeAdapter(list[Row]), TypeAdapter(Row)


@dataclass(frozen=True)
class DicomWeb:
    """An archive whose DICOMweb services lie below `url` (http without a scheme).

    DICOMweb gives no digest of an image: one that was replaced under its SOPInstanceUID is not noticed.
    """

    url: str
    stored_word: ClassVar[str] = "stored"
    clock_s: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", checked_url(self.url))

    def last_change(self) -> object:
        """Always another one: DICOMweb does not say."""
        next(self._pages("studies", {}, 1), None)
        return object()

    def studies(self) -> list[Study]:
        """All studies with CT."""
        return [self._study(row) for row in self._rows("studies", _STUDY_UID, ModalitiesInStudy="CT")]

    def study(self, study: str) -> Study:
        """One study, as it is now."""
        rows = self._rows("studies", _STUDY_UID, StudyInstanceUID=study)
        found = [row for row in rows if _text(row, _STUDY_UID) == study]
        if len(found) != 1:
            raise self._nonsense("studies", f"{len(found)} studies of one StudyInstanceUID")
        return self._study(found[0])

    def instances(self, study: str) -> dict[str, list[str]]:
        """Modality -> ids of its instances, `series/{uid}/instances/{uid}` of the study; listed of CT alone."""
        found: dict[str, list[str]] = {}
        for row in self._rows(f"studies/{study}/series", _SERIES_UID):
            of_modality = found.setdefault(_text(row, _MODALITY), [])
            if _text(row, _MODALITY) == "CT":
                series = f"series/{_text(row, _SERIES_UID)}/instances"
                rows = self._rows(f"studies/{study}/{series}", _INSTANCE_UID)
                of_modality += [f"studies/{study}/{series}/{_text(row, _INSTANCE_UID)}" for row in rows]
        return found

    def count(self, study: str) -> int:
        """How many instances a study has, as the archive says."""
        return _number(self.study(study).updated.partition("/")[2])

    def content(self, study: str, instances: Mapping[str, Sequence[str]]) -> str:
        """SHA-256 over the ids of the CT images."""
        return digest_of(instances.get("CT", []), lambda one: "")

    def fetch(self, instance: str, target: Path) -> None:
        """Write an instance to a file of mode 0600; `NonsenseError` if it is another one than was asked for."""
        accept = {"Accept": multipart.ACCEPT}
        reply = self._request(instance, None, accept, max_bytes=_MAX_IMAGE_BYTES, seconds=10 * _SECONDS)
        try:
            content = multipart.only_part(reply.content_type, reply.body)
            found = identify(content)
        except LunglineError as fault:
            raise self._nonsense("instances", str(fault).rstrip(".")) from None
        if (found.study, found.instance) != (instance.split("/")[1], instance.rpartition("/")[2]):
            raise self._nonsense("instances", "an image of other identifiers than were asked for")
        with secret_path(target) as temporary:
            temporary.write_bytes(content)

    def store(self, file: Path) -> str:
        """Store a DICOM file, with its preamble; its SOPInstanceUID. One that is there already is no fault."""
        content = file.read_bytes()
        try:
            one = identify(content)
        except LunglineError as fault:
            raise LunglineError(f"{file}: {fault}") from None
        kind, body = multipart.make(content)
        headers = {"Content-Type": kind, "Accept": _JSON}
        reply = self._request(f"studies/{one.study}", body, headers, seconds=10 * _SECONDS, good=(200, 202, 409))
        answer = self._parsed(reply, _ROW, "studies") if reply.body.strip() else {}
        failed = answer.get(_FAILED, {})
        failures = failed.get("Value", []) if isinstance(failed, dict) else []
        if not isinstance(failures, list) or not all(isinstance(failure, dict) for failure in failures):
            raise self._nonsense("studies", "FailedSOPSequence is no sequence")
        reasons = [_number(_text(failure, _REASON)) for failure in failures]
        if any(reason != _IS_THERE_ALREADY for reason in reasons) or (reply.status != 200 and not reasons):
            reason = f", reason 0x{reasons[0]:04X}" if reasons else ""
            raise RefusedError(f"{self.url}: the archive does not store {file.name} (status {reply.status}{reason}).")
        return one.instance

    def send(self, instances: Sequence[str], node: str) -> None:
        """Not by DICOMweb."""
        raise LunglineError(f"{self.url}: DICOMweb sends nothing on to '{node}'. Leave --send-to out.")

    def done(self, study: Study) -> None:
        """Its images stay in the archive."""

    def _study(self, row: Row) -> Study:
        uid, series, instances = (_text(row, tag) for tag in (_STUDY_UID, _SERIES_COUNT, _INSTANCES_COUNT))
        if not instances.isdecimal():  # both are required of an archive, and some leave them out
            rows = self._rows(f"studies/{uid}/series", _SERIES_UID)
            series = str(len(rows))
            below = (f"studies/{uid}/series/{_text(r, _SERIES_UID)}/instances" for r in rows)
            instances = str(sum(len(self._rows(path, _INSTANCE_UID)) for path in below))
        return Study(uid, True, f"{series}/{instances}"[:64])

    def _rows(self, path: str, uid: str, **matches: str) -> list[Row]:
        """All results of a search, each with its UID: it becomes a part of URLs, so it must not be anything else."""
        found: dict[str, Row] = {}
        for page in self._pages(path, matches):
            if not all(is_uid(_text(row, uid)) for row in page):
                raise self._nonsense(path, f"a result without its UID ({uid})")
            new = {_text(row, uid): row for row in page}
            if not new.keys() - found.keys():
                break  # the end, or an archive that knows no offset
            found |= new
            if len(found) > _MOST_ROWS:
                raise self._nonsense(path, f"more than {_MOST_ROWS} results")
        return list(found.values())

    def _pages(self, path: str, matches: Mapping[str, str], limit: int = _PAGE) -> Iterator[list[Row]]:
        """The results of a search, page by page; an archive may give fewer than it was asked for."""
        offset = 0
        while True:
            words = {**matches, "limit": str(limit), "offset": str(offset)}
            if path == "studies":
                words["includefield"] = f"{_SERIES_COUNT},{_INSTANCES_COUNT}"
            query = "&".join(f"{name}={value}" for name, value in words.items())
            reply = self._request(f"{path}?{query}", None, {"Accept": _JSON}, good=(200, 204, 206))
            rows = self._parsed(reply, _ROWS, path) if reply.status != 204 and reply.body.strip() else []
            yield rows
            if not rows:
                return
            offset += len(rows)

    def _parsed(self, reply: Reply, shape: TypeAdapter[Any], path: str) -> Any:
        try:
            return shape.validate_json(reply.body)
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, fault["loc"])) or "all of it"
            raise self._nonsense(path, f"{where}: {fault['type']}") from None

    def _nonsense(self, path: str, what: str) -> NonsenseError:
        asked = f"'{path.rpartition('/')[2] if '.' not in path.rpartition('/')[2] else 'instances'}'"
        told = f"{asked} is answered in a way that no DICOMweb answers ({visible(what)})"
        return NonsenseError(f"{self.url}: {told}. Look at what runs there.")

    def _request(
        self,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        *,
        max_bytes: int = _MAX_JSON_BYTES,
        seconds: float = _SECONDS,
        good: Sequence[int] = (200,),
    ) -> Reply:
        """The reply to a GET, or to a POST of `body`; `RefusedError` if its status is none of these."""
        reply = request(f"{self.url}/{path}", body, seconds=seconds, max_bytes=max_bytes, headers=headers)
        if reply.status in good:
            return reply
        hint = {
            401: " Put user and password into ~/.netrc, or into LUNGLINE_PACS_USER and LUNGLINE_PACS_PASSWORD.",
            404: " Name the address of its DICOMweb services, as http://HOST:8042/dicom-web.",
            405: " Name the address of its DICOMweb services, as http://HOST:8042/dicom-web.",
        }.get(reply.status, "")
        if 300 <= reply.status < 400:
            hint = " It points to another address, which is not followed. Name that one, if it is yours."
        what = path.partition("/")[0].partition("?")[0]
        reason = visible(reply.reason[:80])
        raise RefusedError(f"{self.url}: the archive refuses '{what}' with {reply.status} {reason}.{hint}")


def _text(row: Row, tag: str) -> str:
    """The first value of an element in DICOM JSON; "" where there is none, or something else.

    Cut where it is longer than any UID, and so no UID.
    """
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    first = values[0] if isinstance(values, list) and values else ""
    return str(first)[:65] if isinstance(first, (str, int)) else ""


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and text.isascii() else 0
