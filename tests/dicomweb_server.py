"""A small, strict DICOMweb server on loopback, written from PS3.18: what the standard does not say is refused.

It gives two results a page, whatever limit is asked for, as an archive may.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lungline.pacs.part10 import identify
from tests.liar import Liar, reply

_PAGE = 2
_KEYS = {"StudyInstanceUID": "0020000D", "ModalitiesInStudy": "00080061"}
#: Elements of a result of each level, as the standard requires.
_LEVELS = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}


class DicomWebServer(Liar):
    """Holds DICOM files, (study, series, instance) -> (modality, bytes); with a login where one is given."""

    def __init__(self, context: ssl.SSLContext | None = None, login: str | None = None) -> None:
        super().__init__(context)
        self.held: dict[tuple[str, str, str], tuple[str, bytes]] = {}
        self.login = login
        self.answer = self._answer

    def add(self, content: bytes, series: str) -> None:
        one = identify(content)
        self.held[one.study, series, one.instance] = (one.modality, content)

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        words = [word for word in parts.path.split("/") if word]
        if self.login and handler.headers["Authorization"] != f"Basic {base64.b64encode(self.login.encode()).decode()}":
            reply(handler, b"", 401)
        elif handler.command == "POST":
            self._stow(handler, words)
        elif len(words) == 6 and words[::2] == ["studies", "series", "instances"]:
            self._wado(handler, words)
        elif words and words[-1] in _LEVELS and handler.headers["Accept"] == "application/dicom+json":
            self._qido(handler, words, dict(parse_qsl(parts.query)))
        else:
            reply(handler, b"", 406 if words and words[-1] in _LEVELS else 404)

    def _qido(self, handler: BaseHTTPRequestHandler, words: list[str], query: dict[str, str]) -> None:
        above = dict(zip(words[:-1:2], words[1::2], strict=True))
        if unknown := set(query) - {*_KEYS, "limit", "offset", "includefield"}:
            return reply(handler, str(unknown).encode(), 400)
        rows: dict[str, Any] = {}
        for (study, series, instance), (modality, _) in self.held.items():
            uids = {"studies": study, "series": series, "instances": instance}
            if any(uids[level] != uid for level, uid in above.items()):
                continue
            if query.get("StudyInstanceUID", study) != study:
                continue
            if "ModalitiesInStudy" in query and query["ModalitiesInStudy"] not in self._modalities(study):
                continue
            row = {_LEVELS[words[-1]]: {"vr": "UI", "Value": [uids[words[-1]]]}}
            if words[-1] == "studies":
                count = sum(one[0] == study for one in self.held)
                row |= {"00201208": {"vr": "IS", "Value": [count]}, "00201206": {"vr": "IS", "Value": [1]}}
            if words[-1] == "series":
                row["00080060"] = {"vr": "CS", "Value": [modality]}
            rows[uids[words[-1]]] = row
        start = int(query.get("offset", "0"))
        page = list(rows.values())[start : start + min(_PAGE, int(query.get("limit", _PAGE)))]
        body = json.dumps(page).encode()
        return reply(handler, body, Content_Type="application/dicom+json") if page else reply(handler, b"", 204)

    def _modalities(self, study: str) -> set[str]:
        return {modality for key, (modality, _) in self.held.items() if key[0] == study}

    def _wado(self, handler: BaseHTTPRequestHandler, words: list[str]) -> None:
        found = self.held.get((words[1], words[3], words[5]))
        if 'multipart/related; type="application/dicom"' not in handler.headers["Accept"]:
            return reply(handler, b"", 406)
        if found is None:
            return reply(handler, b"", 404)
        line = b"\r\n--of the server"
        body = line + b"\r\nContent-Type: application/dicom\r\n\r\n" + found[1] + line + b"--\r\n"
        return reply(handler, body, Content_Type='multipart/related; boundary="of the server"')

    def _stow(self, handler: BaseHTTPRequestHandler, words: list[str]) -> None:
        kind = handler.headers["Content-Type"]
        found = re.fullmatch(r'multipart/related; type="application/dicom"; boundary=(\w{1,70})', kind)
        body: bytes = handler.body  # type: ignore[attr-defined]
        if not found or handler.headers["Accept"] != "application/dicom+json":
            return reply(handler, b"", 415)
        line = b"--" + found[1].encode()
        start, end = line + b"\r\nContent-Type: application/dicom\r\n\r\n", b"\r\n" + line + b"--\r\n"
        if not (body.startswith(start) and body.endswith(end)):
            return reply(handler, b"", 400)
        content = body[len(start) : -len(end)]
        one = identify(content)  # with its preamble, or this ends the connection
        sop = {"00081150": {"vr": "UI", "Value": [one.sop_class]}, "00081155": {"vr": "UI", "Value": [one.instance]}}
        if words != ["studies", one.study] or one.modality == "OTHER":
            failed = {"00081198": {"vr": "SQ", "Value": [sop | {"00081197": {"vr": "US", "Value": [0xA900]}}]}}
            return reply(handler, json.dumps(failed).encode(), 409, Content_Type="application/dicom+json")
        self.add(content, f"{one.study}.99")
        stored = {"00081199": {"vr": "SQ", "Value": [sop]}}
        return reply(handler, json.dumps(stored).encode(), Content_Type="application/dicom+json")
