"""A server that is broken or hostile: nothing goes to another host, every reply is bounded in bytes, time and shape."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from liar import Liar, reply
from lungline.errors import LunglineError
from lungline.pacs.bounded_http import UnreachableError, checked_url, request
from lungline.pacs.orthanc import Orthanc
from lungline.pacs.study_source import NonsenseError, RefusedError

STUDY = "66c8e41e-ac3a9029-0b85e42a-8195ee0a-92c2e62e"


@pytest.fixture
def liar() -> Iterator[Liar]:
    server = Liar()
    yield server
    server.shutdown()
    server.server_close()


def test_a_redirect_is_not_followed_and_the_password_goes_to_no_other_host(liar, tmp_path, monkeypatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login reader password secret-1\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    other = Liar()
    liar.answer = lambda handler: reply(handler, b"", 302, Location=f"{other.url}/stolen")
    with pytest.raises(RefusedError, match=r"with 302 Found\. It points to another address, which is not followed"):
        Orthanc(liar.url).last_change()
    assert liar.asked == [("/changes?last", "Basic " + base64.b64encode(b"reader:secret-1").decode())]
    assert other.asked == []
    other.shutdown()
    other.server_close()


def test_a_password_in_the_url_is_refused_and_not_quoted() -> None:
    with pytest.raises(LunglineError, match=r"put them into ~/\.netrc") as refusal:
        Orthanc("http://reader:secret-1@pacs:8042")
    assert "secret-1" not in str(refusal.value)


@pytest.mark.parametrize("url", ["ftp://pacs", "http://", "pacs:port", "http://pacs/?a=b", "pa cs:8042", "pacs\n:8042"])
def test_what_is_no_address_is_refused(url) -> None:
    with pytest.raises(LunglineError, match="expected the address of a server"):
        checked_url(url)


def test_an_address_below_a_path_keeps_it() -> None:
    assert checked_url("https://pacs.example/orthanc/") == "https://pacs.example/orthanc"
    assert checked_url("pacs:8042") == "http://pacs:8042"


def test_a_reply_is_bounded_whatever_length_it_promises(liar) -> None:
    liar.answer = lambda handler: reply(handler, b"x" * 5000)
    with pytest.raises(UnreachableError, match="a reply of more than 4999 bytes"):
        request(liar.url, seconds=5, max_bytes=4999)
    assert len(request(liar.url, seconds=5, max_bytes=5000).body) == 5000


def test_a_reply_without_end_stops_at_the_limit(liar) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    liar.answer = endless
    with pytest.raises(UnreachableError, match="a reply of more than 1000000 bytes"):
        request(liar.url, seconds=5, max_bytes=1_000_000)


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_server_that_drips_is_left_in_time(liar, start) -> None:
    over = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(start)
        while not over.wait(0.02):
            handler.wfile.write(b"X")

    liar.answer = drip
    with pytest.raises(UnreachableError, match=r"no whole reply in 0\.3 s"):
        request(liar.url, seconds=0.3, max_bytes=1 << 20)
    over.set()


@pytest.mark.parametrize(
    "reply_bytes",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", b"\x16\x03\x01 no http\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n"],
)
def test_a_reply_that_is_cut_or_no_http_is_one_line(liar, reply_bytes) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(reply_bytes)

    liar.answer = answer
    with pytest.raises(UnreachableError, match=r"no answer \(\w+\)"):
        request(liar.url, seconds=5, max_bytes=1 << 20)


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'{"Last": "many"}', b'{"Last": [1]}', b"{" * 100_000, b'"\xff"', b"<html>"],
)
def test_nonsense_is_one_line(liar, body) -> None:
    liar.answer = lambda handler: reply(handler, body)
    with pytest.raises(NonsenseError, match=r"'changes' is answered in a way that no Orthanc answers") as nonsense:
        Orthanc(liar.url).last_change()
    assert "\n" not in str(nonsense.value)


@pytest.mark.parametrize("identifier", ["../../etc/passwd", "", STUDY.upper(), f"{STUDY}/x", "1", None])
def test_an_identifier_that_is_none_becomes_no_part_of_a_url(liar, identifier) -> None:
    body = json.dumps([{"ID": identifier, "IsStable": True, "LastUpdate": "x"}]).encode()
    liar.answer = lambda handler: reply(handler, body)
    with pytest.raises(NonsenseError, match=r"0\.ID"):
        Orthanc(liar.url).studies()


def test_words_of_the_server_cannot_move_the_cursor(liar) -> None:
    liar.answer = lambda handler: handler.wfile.write(b"HTTP/1.1 500 \x1b[2Jgone\r\n\r\n")  # type: ignore[assignment]
    with pytest.raises(RefusedError) as refusal:
        Orthanc(liar.url).last_change()
    assert "\x1b" not in str(refusal.value)
    assert r"\x1b[2Jgone" in str(refusal.value)


def test_an_instance_is_written_for_its_owner_alone(liar, tmp_path: Path) -> None:
    md5 = hashlib.md5(b"DICM").hexdigest().encode()
    liar.answer = lambda handler: reply(handler, md5 if handler.path.endswith("/md5") else b"DICM")
    Orthanc(liar.url).fetch(STUDY, tmp_path / "0.dcm")
    assert (tmp_path / "0.dcm").read_bytes() == b"DICM"
    assert (tmp_path / "0.dcm").stat().st_mode & 0o777 == 0o600


def test_an_image_that_has_not_its_md5_is_not_kept(liar, tmp_path: Path) -> None:
    for said, why in ((b"0" * 32, "has not its MD5"), (b"nonsense", "the MD5 of an image is none")):
        liar.answer = lambda handler, said=said: reply(handler, said if handler.path.endswith("/md5") else b"DICM")
        with pytest.raises(NonsenseError, match=why):
            Orthanc(liar.url).fetch(STUDY, tmp_path / "0.dcm")
    assert not (tmp_path / "0.dcm").exists()


def test_a_reply_of_two_lengths_is_none(liar) -> None:
    said = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}   "
    liar.answer = lambda handler: handler.wfile.write(said)
    with pytest.raises(UnreachableError, match="no answer"):
        request(liar.url, seconds=5, max_bytes=100)
