"""DICOMweb against a strict server and a liar: QIDO, WADO and STOW as the standard says, nothing believed blindly."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lungline.errors import LunglineError
from lungline.pacs import multipart
from lungline.pacs.bounded_http import UnreachableError
from lungline.pacs.dicom_web import DicomWeb
from lungline.pacs.study_source import NonsenseError, RefusedError
from lungline.stages import listen, send
from tests.conformance.receive import as_file, image, object_of, tiny_answer, uid
from tests.dicomweb_server import DicomWebServer
from tests.liar import Liar, reply

STUDY = uid("study 0")
SERIES = "1.2.3"
INSTANCE = f"studies/{STUDY}/series/{SERIES}/instances/{uid('study 0 image 0')}"


@pytest.fixture
def archive() -> Iterator[DicomWebServer]:
    """Three studies of CT, of five images each, and one of MR."""
    server = DicomWebServer()
    for study in range(3):
        for k in range(5):
            server.add(as_file(image(study, k)), f"{SERIES}.{study}")
    server.add(as_file(object_of("1.9", "1.9.1", modality="MR")), "1.9.2")
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    yield server
    server.shutdown()
    server.server_close()


def test_studies_of_an_archive_are_answered_once_and_by_their_images_alone(archive, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(listen, "predict_study", lambda incoming, answers, options: tiny_answer(incoming, answers))
    words = {"dicomweb": archive.url, "out": tmp_path / "out", "every_s": 0.01, "settle_s": 0.0, "once": True}
    assert listen.run(**words) == 0
    said = [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()[1:]]
    assert said == ["probability 0.500; SEG and SR stored"] * 3
    answers = (tmp_path / "out/answers.log").read_text().splitlines()
    assert sorted(answers) == sorted(f"{uid(f'study {n}')} 5" for n in range(3))
    made = [modality for modality, _ in archive.held.values() if modality in ("SEG", "SR")]
    assert (made.count("SEG"), made.count("SR")) == (3, 3)
    assert listen.run(**words) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1  # what we stored is no news
    archive.add(as_file(image(1, 7)), f"{SERIES}.1")
    assert listen.run(**words) == 0
    assert len((tmp_path / "out/answers.log").read_text().splitlines()) == 4
    assert not any("PatientName" in path for path, _ in archive.asked)


def test_the_login_of_the_environment_goes_along_and_appears_nowhere(tmp_path, capsys, monkeypatch) -> None:
    server = DicomWebServer(login="reader:secret-1")
    file = tmp_path / "sr.dcm"
    file.write_bytes(as_file(image(0, 0)))
    assert send.run(server.url, [file]) == 1
    assert "with 401" in capsys.readouterr().out
    monkeypatch.setenv("LUNGLINE_PACS_USER", "reader")
    monkeypatch.setenv("LUNGLINE_PACS_PASSWORD", "secret-1")
    assert send.run(server.url, [tmp_path]) == 0
    said = capsys.readouterr()
    assert said.out == f"{file}: stored\n"
    assert len(server.held) == 1
    with pytest.raises(LunglineError, match=r"login of the environment would go unencrypted") as refusal:
        DicomWeb("http://pacs.example/dicom-web").studies()
    assert "secret-1" not in f"{refusal.value}{said}"
    server.shutdown()
    server.server_close()


def test_what_answers_has_no_login_in_its_environment(tmp_path, monkeypatch) -> None:
    from lungline.pacs import predicted_objects

    monkeypatch.setenv("LUNGLINE_PACS_TOKEN", "secret-1")
    seen = []

    def run(command: list[str], **options: object) -> object:
        seen.append((command, options["env"]))
        return subprocess.CompletedProcess(command, 2, "", "lungline predict: no such file")

    monkeypatch.setattr(predicted_objects.subprocess, "run", run)
    with pytest.raises(LunglineError, match="no such file"):
        predicted_objects.predict_study(tmp_path, tmp_path / "out", [])
    ((command, environment),) = seen
    assert "PATH" in environment
    assert "secret-1" not in f"{command}{environment}"


def test_a_server_with_https_is_believed_by_its_certificate_alone(tmp_path, monkeypatch) -> None:
    names = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command = ["openssl", "req", "-x509", *kind, "-keyout", "key.pem", "-out", "ca.pem", *names]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server = DicomWebServer(context)
    server.add(as_file(image(0, 0)), SERIES)
    with pytest.raises(UnreachableError, match=r"https://127\.0\.0\.1:\d+: no answer"):
        DicomWeb(server.url).studies()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert [study.id for study in DicomWeb(server.url).studies()] == [STUDY]
    with pytest.raises(UnreachableError):
        DicomWeb(server.url.replace("127.0.0.1", "localhost")).studies()  # not the name of the certificate
    server.shutdown()
    server.server_close()


def test_a_file_without_preamble_is_not_sent(archive, tmp_path) -> None:
    file = tmp_path / "sr.dcm"
    file.write_bytes(as_file(image(0, 0))[132:])
    with pytest.raises(LunglineError, match="it does not begin as one"):
        send.run(archive.url, [file])
    assert archive.asked == []


def test_an_object_that_the_archive_does_not_store_is_said(archive, tmp_path, capsys) -> None:
    file = tmp_path / "sr.dcm"
    file.write_bytes(as_file(object_of("1.2", "1.2.3", modality="?")))
    assert send.run(archive.url, [file]) == 1
    assert "the archive does not store sr.dcm (status 409, reason 0xA900)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("status", "answer", "stored"),
    [
        (200, {}, True),
        (202, {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}, True),
        (200, {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0110]}}]}}, False),
        (409, {}, False),
        (202, {"00081198": {"vr": "SQ", "Value": [None]}}, False),
        (200, [1], False),
    ],
)
def test_success_is_what_the_reply_says_and_not_its_status_alone(liar, tmp_path, status, answer, stored) -> None:
    liar.answer = lambda handler: reply(handler, json.dumps(answer).encode(), status)
    file = tmp_path / "sr.dcm"
    file.write_bytes(as_file(image(0, 0)))
    if stored:
        assert DicomWeb(liar.url).store(file) == uid("study 0 image 0")
        return
    with pytest.raises((RefusedError, NonsenseError)) as refusal:
        DicomWeb(liar.url).store(file)
    assert "\n" not in str(refusal.value)


ROW = {"0020000D": {"vr": "UI", "Value": [STUDY]}}


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{}", b"[1]", b"[" * 100_000, b'[{"0020000D": 5}]', b'[{"0020000D": {"Value": []}}]', b"\xff\xfe"]
    + [json.dumps([{"0020000D": {"Value": [one]}}]).encode() for one in ("../../x", "1.2/3", "1" * 65, None, "1.2\n")],
    ids=range(12),
)
def test_an_answer_that_no_archive_gives_is_one_line(liar, body) -> None:
    liar.answer = lambda handler: reply(handler, body)
    with pytest.raises(NonsenseError, match=r"'studies' is answered in a way that no DICOMweb answers") as nonsense:
        DicomWeb(liar.url).studies()
    assert "\n" not in str(nonsense.value)


def test_an_archive_that_knows_no_offset_ends_all_the_same(liar) -> None:
    row = ROW | {"00201208": {"vr": "IS", "Value": [4]}}
    liar.answer = lambda handler: reply(handler, json.dumps([row]).encode())
    assert [study.id for study in DicomWeb(liar.url).studies()] == [STUDY]
    assert len(liar.asked) == 2


def test_a_redirect_is_not_followed(liar) -> None:
    other = Liar()
    liar.answer = lambda handler: reply(handler, b"", 307, Location=f"{other.url}/stolen")
    with pytest.raises(RefusedError, match=r"with 307 .*points to another address, which is not followed"):
        DicomWeb(liar.url).studies()
    assert other.asked == []
    other.shutdown()
    other.server_close()


def part(content: bytes, boundary: bytes = b"b") -> bytes:
    return b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n"


ASKED_FOR = as_file(image(0, 0))


@pytest.mark.parametrize(
    ("kind", "body", "why"),
    [
        ("text/html", ASKED_FOR, "neither multipart"),
        ("multipart/related", part(ASKED_FOR) + b"--b--", "neither multipart"),
        ("multipart/related; boundary=b", b"", "no part"),
        ("multipart/related; boundary=b", b"--b--", "no part"),
        ("multipart/related; boundary=b", b"--b\r\nContent-Type: x", "no end of its header"),
        ("multipart/related; boundary=b", part(ASKED_FOR), "cut off"),
        ("multipart/related; boundary=b", part(ASKED_FOR) * 2 + b"--b--", "several parts"),
        ("multipart/related; boundary=b", part(b"DICM") + b"--b--", "does not begin as one"),
        ("multipart/related; boundary=b", part(as_file(image(1, 0))) + b"--b--", "other identifiers"),
        ("application/dicom", as_file(image(0, 1)), "other identifiers"),
        ("application/dicom", b"\0" * 128 + b"DICM" + b"\xff" * 999, "be read|identifiers"),
    ],
)
def test_an_image_that_is_none_or_another_is_not_written(liar, tmp_path: Path, kind, body, why) -> None:
    liar.answer = lambda handler: reply(handler, body, Content_Type=kind)
    with pytest.raises(NonsenseError, match=why) as nonsense:
        DicomWeb(liar.url).fetch(INSTANCE, tmp_path / "0.dcm")
    assert list(tmp_path.iterdir()) == []
    assert STUDY not in str(nonsense.value)


def test_the_image_that_was_asked_for_is_written_as_it_is(liar, tmp_path: Path) -> None:
    kind, body = multipart.make(ASKED_FOR)
    liar.answer = lambda handler: reply(handler, body, Content_Type=kind)
    DicomWeb(liar.url).fetch(INSTANCE, tmp_path / "0.dcm")
    assert (tmp_path / "0.dcm").read_bytes() == ASKED_FOR
    assert (tmp_path / "0.dcm").stat().st_mode & 0o777 == 0o600


def test_an_archive_that_counts_nothing_is_counted(archive) -> None:
    original = archive._qido

    def without_counts(handler, words, query):
        handler.wfile, sent = _Recorder(handler.wfile), handler.wfile
        original(handler, words, query)
        handler.wfile = sent

    archive._qido = without_counts
    assert DicomWeb(archive.url).count(STUDY) == 5


class _Recorder:
    """Renames the counts in what is written, so that they are unknown elements of the same length."""

    def __init__(self, file) -> None:
        self.file = file

    def write(self, content: bytes) -> int:
        return self.file.write(content.replace(b"00201208", b"00211208").replace(b"00201206", b"00211206"))


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({}, "expected one archive"),
        ({"url": "127.0.0.1:1", "dicomweb": "127.0.0.1:2"}, "expected one archive"),
        ({"dicomweb": "127.0.0.1:2", "send_to": "PACS"}, "DICOMweb sends nothing on"),
        ({"dicomweb": "http://a:b@127.0.0.1:2"}, r"put them into ~/\.netrc"),
    ],
)
def test_a_wrong_way_to_listen_is_one_line(tmp_path, words, why) -> None:
    with pytest.raises(LunglineError, match=why):
        listen.run(**words, out=tmp_path / "out", once=True)
