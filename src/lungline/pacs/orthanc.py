"""An Orthanc server, by its REST interface: what arrived, the images, and the way back."""

import base64
import http.client
import json
import netrc
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.privacy.permissions import secret_path

_SECONDS = 120.0


class UnreachableError(LunglineError):
    """The server does not answer; later it may."""


@dataclass(frozen=True)
class Study:
    """A study that Orthanc holds."""

    #: Orthanc's; a hash of PatientID and StudyInstanceUID, so it belongs into a private folder.
    id: str
    #: Whether nothing has arrived for the time `StableAge` of Orthanc's configuration; after a restart of Orthanc true
    #: of every study, however much of it is still on its way.
    stable: bool
    #: When something arrived last, to the second.
    updated: str


@dataclass(frozen=True)
class Orthanc:
    """A server at `url` (http without a scheme); user and password are looked up in ~/.netrc."""

    url: str

    def __post_init__(self) -> None:
        whole = self.url if "://" in self.url else f"http://{self.url}"
        if urllib.parse.urlsplit(whole).scheme not in ("http", "https"):
            raise LunglineError(f"{self.url}: expected the address of an Orthanc, as HOST:8042 or https://HOST.")
        object.__setattr__(self, "url", whole.rstrip("/"))

    def last_change(self) -> int:
        """A number that grows with everything that happens there."""
        return int(self._ask("changes?last")["Last"])

    def studies(self) -> list[Study]:
        """All studies that it holds."""
        return [_study(item) for item in self._ask("studies?expand")]

    def study(self, study: str) -> Study:
        """One study, as it is now."""
        return _study(self._ask(f"studies/{study}"))

    def instances(self, study: str) -> dict[str, list[str]]:
        """Modality -> ids of all its instances in a study."""
        found: dict[str, list[str]] = {}
        for series in self._ask(f"studies/{study}/series"):
            found.setdefault(str(series["MainDicomTags"].get("Modality", "")), []).extend(series["Instances"])
        return found

    def count(self, study: str) -> int:
        """How many instances a study has."""
        return int(self._ask(f"studies/{study}/statistics")["CountInstances"])

    def digest(self, instance: str) -> str:
        """Of the bytes of an instance, whose id stays when other bytes take its place; by Orthanc's own MD5."""
        try:
            return self._request(f"instances/{instance}/attachments/dicom/md5").decode("ascii")
        except LunglineError as refusal:
            if isinstance(refusal, UnreachableError):
                raise
            return str(self._ask(f"instances/{instance}")["FileUuid"])  # where it keeps none (StoreMD5ForAttachments)

    def fetch(self, instance: str, target: Path) -> None:
        """Write an instance to a file of mode 0600."""
        content = self._request(f"instances/{instance}/file")
        with secret_path(target) as temporary:
            temporary.write_bytes(content)

    def store(self, file: Path) -> str:
        """Store a DICOM file; the id of the instance. One that is there already is not stored again."""
        return str(json.loads(self._request("instances", file.read_bytes()))["ID"])

    def send(self, instances: Sequence[str], modality: str) -> None:
        """Let it send instances to a DICOM node that its configuration knows by this name."""
        self._request(f"modalities/{urllib.parse.quote(modality, safe='')}/store", json.dumps(instances).encode())

    def _ask(self, path: str) -> Any:
        return json.loads(self._request(path))

    def _request(self, path: str, body: bytes | None = None) -> bytes:
        """The answer to a GET, or to a POST of `body`; `LunglineError` if the server refuses."""
        request = urllib.request.Request(f"{self.url}/{path}", data=body, headers=self._login())
        try:
            with _OPENER.open(request, timeout=_SECONDS) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            what = path.partition("/")[0].partition("?")[0]
            hint = " Put user and password into ~/.netrc." if error.code == 401 else ""
            raise LunglineError(f"Orthanc refuses '{what}' with {error.code} {error.reason}.{hint}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = getattr(error, "reason", None) or type(error).__name__
            raise UnreachableError(
                f"{self.url}: no Orthanc answers there ({reason}). Start it, or mend the URL."
            ) from None

    def _login(self) -> dict[str, str]:
        try:
            known = netrc.netrc().authenticators(urllib.parse.urlsplit(self.url).hostname or "")
        except (OSError, netrc.NetrcParseError):
            return {}
        if known is None:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{known[0]}:{known[2]}".encode()).decode()}


def _study(item: Mapping[str, Any]) -> Study:
    return Study(item["ID"], bool(item["IsStable"]), str(item.get("LastUpdate", "")))


#: A PACS stands in the same network: no proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
