"""A study on an Orthanc that answers from files, so that each of its answers can be changed; no network is needed."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

STUDY, IMAGE, MADE = ("-".join([digit * 8] * 5) for digit in "123")
REPLIES = {
    "changes?last": {"Last": 5, "Done": True},
    "studies?expand": [{"ID": STUDY, "IsStable": True, "LastUpdate": "20260101T000000"}],
    f"studies/{STUDY}": {"ID": STUDY, "IsStable": True, "LastUpdate": "20260101T000001"},
    f"studies/{STUDY}/statistics": {"CountInstances": 1},
    f"studies/{STUDY}/series": [{"MainDicomTags": {"Modality": "CT"}, "Instances": [IMAGE]}],
    f"instances/{IMAGE}/attachments/dicom/md5": hashlib.md5(b"DICM").hexdigest(),
    f"instances/{IMAGE}/file": "DICM",
    "instances": {"ID": MADE, "Status": "Success"},
}


_PATIENCE = 300  # questions


def _name(path: str) -> str:
    return path.replace("/", "+").replace("?", "%")


def write_replies(folder: Path) -> None:
    (folder / "replies").mkdir()
    for path, answer in REPLIES.items():
        text = answer if isinstance(answer, str) else json.dumps(answer)
        (folder / "replies" / _name(path)).write_text(text)


def raw_replies(folder: Path) -> None:
    """Whole replies as they come over the wire, with their status and headers."""
    (folder / "raw").mkdir()
    for path, answer in REPLIES.items():
        body = (answer if isinstance(answer, str) else json.dumps(answer)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        (folder / "raw" / _name(path)).write_bytes(head.encode() + b"Connection: close\r\n\r\n" + body)


class _Connection(http.client.HTTPConnection):
    """A connection whose other end has already said all that stands in a file."""

    folder = Path()
    asked = 0

    def connect(self) -> None:
        self.sock, self._other = socket.socketpair()

    def request(self, method: str, url: str, *words: object, **more: object) -> None:
        type(self).asked += 1
        if self.asked > _PATIENCE:  # it says for ever that a study is still arriving, which is waited for
            raise KeyboardInterrupt
        raw = self.folder / "raw" / _name(url.lstrip("/"))
        if raw.is_file():
            said = raw.read_bytes()
        else:
            body = (self.folder / "replies" / _name(url.lstrip("/"))).read_bytes()
            said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        super().request(method, url, *words, **more)  # type: ignore[arg-type]
        self._other.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._other.sendall(said)
        self._other.close()


def answer_studies(folder: Path) -> int:
    """`lungline listen --once` beside this server; the images are predicted by a stand-in."""
    from lungline.names import SEG
    from lungline.pacs.orthanc import Orthanc
    from lungline.stages import listen

    def predicted(incoming: Path, answers: Path, options: Sequence[str]) -> tuple[str, list[Path]]:
        answers.mkdir(parents=True, exist_ok=True)
        (answers / SEG).write_bytes(b"DICM")
        return "answered", [answers / SEG]

    _Connection.folder, _Connection.asked = folder, 0
    with (
        mock.patch("lungline.pacs.bounded_http.http.client.HTTPConnection", _Connection),
        mock.patch.object(listen, "predict_study", predicted),
        mock.patch.object(Orthanc, "clock_s", 0.0),
    ):
        code = listen.run("http://server", out=folder / "out", every_s=0.0, settle_s=0.0, once=True)
    if list((folder / "out/private/incoming").glob("*")):
        raise AssertionError("images are left in private/incoming")
    return code


def write_journal(folder: Path) -> None:
    write_replies(folder)
    (folder / "out/private").mkdir(parents=True)
    entry = {"name": "study-abc", "updated": "t0", "content": "c", "outcome": "said", "failed": False}
    other = {**entry, "name": "study-def", "failed": True}
    (folder / "out/private/journal.json").write_text(json.dumps({STUDY: entry, MADE: other}, indent=1))


read_journal = answer_studies
