"""One command: `lungline listen` beside servers that lie in drawn ways, killed at drawn questions.

    python -m tests.conformance.lying_servers [--ways N] [--seed S]

A server holds two whole studies. At one kind of question (or all) it lies some times, then never again; at another
question the listener is killed with SIGKILL. It is started again until it ends by itself with nothing left to do. Then
nothing may have been sent to the host that lies point to, `private/incoming` must be empty, each study must have
exactly one answer on the server and one in the journal, and no run may have ended with a traceback.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from lungline.readers.sandbox import end_with_parent
from lungline.runner.commands import exit_code_of
from tests.liar import Liar, reply

STUDIES = {"-".join([digit * 8] * 5): "-".join([digit * 7 + "0"] + [digit * 8] * 4) for digit in "12"}  # and its image
HERE = "localhost"
_MOST_RUNS = 12
_SECONDS = 0.5  # in place of the two minutes that a question may take
Lie = Callable[[BaseHTTPRequestHandler, bytes, "Server"], None]


def _raw(content: bytes) -> Lie:
    return lambda handler, body, server: (handler.wfile.write(content), handler.connection.close())[0]


def _body(content: bytes) -> Lie:
    return lambda handler, body, server: reply(handler, content)


def _status(status: int, **headers: str) -> Lie:
    return lambda handler, body, server: reply(handler, b"no", status, **headers)


def _elsewhere(status: int, scheme: str = "http") -> Lie:
    def lie(handler: BaseHTTPRequestHandler, body: bytes, server: Server) -> None:
        reply(handler, b"", status, Location=f"{scheme}://{HERE}:{server.trap.server_port}{handler.path}")

    return lie


def _slow(handler: BaseHTTPRequestHandler, body: bytes, server: Server) -> None:
    handler.send_response(200)
    handler.end_headers()
    with suppress(OSError):
        for _ in range(400):
            handler.wfile.write(b" ")
            handler.wfile.flush()
            time.sleep(0.02)


LIES: dict[str, Lie] = {
    **{f"redirect {status}": _elsewhere(status) for status in (301, 302, 303, 307, 308)},
    "redirect to file": _elsewhere(302, "file"),
    "refresh": _status(200, Refresh=f"0; url=http://{HERE}/"),
    "proxy": _status(305, Location=f"http://{HERE}/"),
    **{f"status {status}": _status(status) for status in (201, 204, 206, 400, 403, 404, 429, 500, 503, 599)},
    "login wanted": _status(401, WWW_Authenticate='Basic realm="x"'),
    "proxy login wanted": _status(407, Proxy_Authenticate='Basic realm="x"'),
    "nothing": lambda handler, body, server: handler.connection.close(),
    "empty": _body(b""),
    "half": lambda handler, body, server: reply(handler, body[: len(body) // 2]),
    "cut": lambda handler, body, server: reply(handler, body[:-1], Content_Length=str(len(body))),
    "longer than said": lambda handler, body, server: reply(handler, body * 2, Content_Length=str(len(body) - 1)),
    "negative length": lambda handler, body, server: reply(handler, body, Content_Length="-1"),
    "endless length": lambda handler, body, server: reply(handler, body, Content_Length="9" * 400),
    "bad chunks": lambda handler, body, server: reply(handler, b"zz\r\n" + body, Transfer_Encoding="chunked"),
    "two lengths": _raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
    "no HTTP": _raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "HTTP 0.9": _raw(b"{}"),
    "noise": _raw(bytes(range(256)) * 8),
    "a long line": _raw(b"HTTP/1.1 200 " + b"x" * 100_000 + b"\r\n\r\n"),
    "many headers": _raw(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 5000 + b"\r\n"),
    "escapes": _raw(b"HTTP/1.1 500 \x1b[2J\x1b]0;x\x07\r\n\r\n"),
    "a page": _body(b"<html><script>1</script></html>"),
    "null": _body(b"null"),
    "list": _body(b"[]"),
    "object": _body(b"{}"),
    "number": _body(b"1e999"),
    "deep": _body(b"[" * 100_000),
    "NUL": _body(b"\0" * 100),
    "no UTF-8": _body(b'{"Last": "\xff\xfe"}'),
    "paths for ids": lambda handler, body, server: reply(handler, body.replace(b"1111111", b"../../x")),
    "other types": lambda handler, body, server: reply(handler, body.replace(b'"', b"").replace(b"true", b'"x"')),
    "slow": _slow,
}
QUESTIONS = ("changes", "studies?", "statistics", "series", "md5", "file", "instances", "studies/", "")


class Server(Liar):
    """An Orthanc with two studies that lies `times` at questions that hold `about`, and kills at question `kill_at`."""

    def __init__(self, lie: str, about: str, times: int, kill_at: int | None) -> None:
        self.trap = Liar()
        self.lie, self.about, self.left, self.kill_at = LIES[lie], about, times, kill_at
        self.stored: list[bytes] = []
        self.child = 0
        super().__init__()
        self.answer = self._answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        words = handler.path.strip("/")
        if self.kill_at is not None and len(self.asked) >= self.kill_at:
            self.kill_at = None
            os.kill(self.child, signal.SIGKILL)
        honest = self._honest(words, getattr(handler, "body", b""))
        if self.left > 0 and self.about in words:
            self.left -= 1
            self.lie(handler, honest, self)
            return
        if words == "instances":
            self.stored.append(handler.body)  # type: ignore[attr-defined]
        reply(handler, honest)

    def _honest(self, words: str, body: bytes) -> bytes:
        if words.endswith("/md5"):
            return hashlib.md5(_image(words.split("/")[1])).hexdigest().encode()
        if words.endswith("/file"):
            return _image(words.split("/")[1])
        known: dict[str, object] = {
            "changes?last": {"Last": 5},
            "studies?expand": [self._study(one) for one in STUDIES],
            "instances": {"ID": "-".join(["9" * 8] * 5)},
            **{f"studies/{one}": self._study(one) for one in STUDIES},
            **{f"studies/{one}/statistics": {"CountInstances": 1} for one in STUDIES},
            **{
                f"studies/{one}/series": [{"MainDicomTags": {"Modality": "CT"}, "Instances": [image]}]
                for one, image in STUDIES.items()
            },
        }
        return json.dumps(known.get(words)).encode()

    @staticmethod
    def _study(study: str) -> dict[str, object]:
        return {"ID": study, "IsStable": True, "LastUpdate": "20260101T000000"}

    def close(self) -> None:
        for server in (self, self.trap):
            server.shutdown()
            server.server_close()


def _image(instance: str) -> bytes:
    return b"\0" * 128 + b"DICM" + instance.encode()


def _predict(command: Sequence[str], **options: object) -> SimpleNamespace:
    """In place of `lungline predict`: an answer that only the images decide."""
    from lungline.storage.predictions import Prediction, write_predictions

    incoming, out = Path(command[5]), Path(command[7])
    images = b"".join(file.read_bytes() for file in sorted(incoming.iterdir()))
    made = out / "private/dicom/scan"
    made.mkdir(parents=True, exist_ok=True)
    (made / "seg.dcm").write_bytes(b"seg of " + images)
    write_predictions(out / "predictions.csv", [Prediction("scan", "folder", "test", None, 0.5, status="ok")])
    return SimpleNamespace(returncode=0, stderr="")


def _listen(server: Server, out: Path) -> None:
    """One run of the listener, in this process, which ends with it."""
    from lungline.pacs import predicted_objects
    from lungline.pacs.orthanc import Orthanc
    from lungline.stages import listen

    said = os.open(out.parent / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = 3
    try:
        with (
            mock.patch.object(predicted_objects.subprocess, "run", _predict),
            mock.patch.object(predicted_objects, "format_answer", return_value="answered"),
            mock.patch.object(predicted_objects, "read_result", return_value={"patient": {}}),
            mock.patch.object(Orthanc, "clock_s", 0.0),
            mock.patch("lungline.pacs.orthanc.request", _in_time),
        ):
            code = exit_code_of("listen", lambda: listen.run(server.url, out=out, every_s=0.0, settle_s=0.0, once=True))
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _in_time(url: str, body: bytes | None = None, *, seconds: float, max_bytes: int) -> object:
    from lungline.pacs.bounded_http import request

    return request(url, body, seconds=_SECONDS, max_bytes=min(max_bytes, 1 << 20))


@dataclass
class Result:
    """What came of one way: how it was drawn, how its runs ended, and what is wrong."""

    drawn: str
    runs: list[int] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def one_way(rng: random.Random, folder: Path, lie: str | None = None) -> Result:
    """Draw a lie, a question, how often, and when to kill; run until the listener ends well, and judge."""
    lie = lie or rng.choice(list(LIES))
    about, times = rng.choice(QUESTIONS), rng.choice((1, 1, 2, 4))
    kill_at = rng.choice((None, rng.randrange(1, 28)))
    result = Result(f"{lie}, {times} times at '{about}', killed at question {kill_at}")
    server, out = Server(lie, about, times, kill_at), folder / "out"
    try:
        while len(result.runs) < _MOST_RUNS and (not result.runs or result.runs[-1] != 0 or server.left > 0):
            server.child = child = os.fork()
            if child == 0:
                end_with_parent()
                _listen(server, out)
            result.runs.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            if server.left > 0 and result.runs[-1] == 0:
                break  # it never asks that again
    finally:
        server.close()
    said = (folder / "said").read_text("utf-8", "replace") if (folder / "said").is_file() else ""
    journal = json.loads((out / "private/journal.json").read_text("utf-8"))
    answers = Counter(server.stored)
    expected = {b"seg of " + _image(image) for image in STUDIES.values()}
    wrong = {
        f"runs ended with {result.runs}": result.runs[-1] != 0 or set(result.runs) - {0, 1, 2, -signal.SIGKILL},
        "a traceback": "Traceback" in said,
        f"sent to another host: {server.trap.asked}": server.trap.asked,
        "images left in private/incoming": list((out / "private").glob("incoming/*")),
        f"studies answered: {len(answers.keys() & expected)}": answers.keys() != expected,
        "the journal": set(journal) != set(STUDIES) or any(entry["failed"] for entry in journal.values()),
        "a folder too many": len(list(out.glob("study-*"))) != len(STUDIES),
    }
    result.faults = [what for what, is_so in wrong.items() if is_so]
    return result


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.lying_servers", description=__doc__)
    parser.add_argument("--ways", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    import lungline.stages.listen  # noqa: F401  before any fork

    results = []
    with tempfile.TemporaryDirectory(prefix="lungline-liars-") as scratch:
        home = Path(scratch) / "home"
        home.mkdir()
        (home / ".netrc").write_text("default login user password secret\n")
        (home / ".netrc").chmod(0o600)
        os.environ["HOME"] = str(home)
        for number in range(options.ways):
            folder = Path(scratch) / str(number)
            folder.mkdir()
            rng = random.Random(f"{options.seed} {number}")
            results.append(one_way(rng, folder, list(LIES)[number % len(LIES)]))
            if results[-1].faults:
                print(f"way {number}: {results[-1].drawn}: {'; '.join(results[-1].faults)}", flush=True)
    runs = [code for result in results for code in result.runs]
    killed = runs.count(-signal.SIGKILL)
    wrong = sum(bool(result.faults) for result in results)
    print(f"{len(results)} ways, {len(LIES)} lies, {len(runs)} runs, {killed} killed, {wrong} ways with a fault")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
