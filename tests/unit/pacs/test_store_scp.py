"""Who may send, and how much: by real associations on loopback."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE

from lungline.errors import LunglineError
from lungline.pacs.inbox import FullError
from lungline.pacs.outbox import Node, Outbox
from lungline.pacs.store_scp import Callers, StoreScp, networks_of
from tests.conformance.receive import Archive, as_file, free_port, image, tiny_answer

HERE = networks_of(["127.0.0.1"])


@contextmanager
def receiver(callers: Callers, keep: Callable[[bytes], None]) -> Iterator[StoreScp]:
    server = StoreScp("LUNGLINE", "127.0.0.1", 0, callers, keep)
    server.start()
    try:
        yield server
    finally:
        server.close()


def call(port: int, *, title: str = "SCANNER", called: str = "LUNGLINE"):
    scanner = AE(title)
    scanner.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    scanner.acse_timeout = scanner.dimse_timeout = scanner.network_timeout = 5
    return scanner.associate("127.0.0.1", port, ae_title=called)


def test_an_object_arrives_as_it_was_sent_and_only_then_is_success_said() -> None:
    kept: list[bytes] = []
    with receiver(Callers(["SCANNER"], HERE), kept.append) as server:
        association = call(server.port)
        assert association.send_c_store(image(0, 0)).Status == 0
        assert len(kept) == 1
        association.release()
    assert kept[0][128:132] == b"DICM"
    assert as_file(image(0, 0))[-512:] == kept[0][-512:]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (FullError("full"), 0xA700),
        (OSError(28, "No space left on device"), 0xA700),
        (LunglineError("no DICOM"), 0xC000),
        (ValueError("x"), 0xA900),
    ],
)
def test_what_cannot_be_kept_has_the_status_that_says_why(error, status) -> None:
    def keep(content: bytes) -> None:
        raise error

    with receiver(Callers([], HERE), keep) as server:
        association = call(server.port)
        assert association.send_c_store(image(0, 0)).Status == status
        assert association.send_c_store(image(0, 1)).Status == status  # the association goes on
        association.release()


def test_a_caller_of_another_title_or_who_calls_another_is_refused() -> None:
    with receiver(Callers(["SCANNER"], HERE), lambda content: None) as server:
        assert call(server.port, title="STRANGER").is_rejected
        assert call(server.port, called="OTHER").is_rejected
        assert call(server.port).is_established


def test_a_caller_from_another_address_is_not_heard() -> None:
    with receiver(Callers([], networks_of(["10.1.2.0/24"])), lambda content: None) as server:
        assert not call(server.port).is_established
    callers = Callers([], networks_of(["10.1.2.0/24", "fd00::/8"]))
    allowed = ("10.1.2.3", "10.1.3.1", "::ffff:10.1.2.9", "fd00::1", "fe80::1%eth0")
    assert [callers.may_call(one) for one in allowed] == [True, False, True, True, False]
    with pytest.raises(LunglineError, match="expected an IP address or network"):
        networks_of(["scanner"])


def test_more_associations_than_allowed_are_refused() -> None:
    with receiver(Callers([], HERE, associations=2), lambda content: None) as server:
        first, second = call(server.port), call(server.port)
        assert first.is_established
        assert second.is_established
        assert not call(server.port).is_established
        first.release()
        second.release()


def test_an_object_that_is_too_large_ends_its_association() -> None:
    kept: list[bytes] = []
    with receiver(Callers([], HERE, object_bytes=1000), kept.append) as server:
        association = call(server.port)
        large = image(0, 0)
        large.PixelData = bytes(3 << 20)
        assert association.send_c_store(large).get("Status") is None
        association = call(server.port)
        for k in range(40):  # each is an object of its own
            assert association.send_c_store(image(0, k)).Status == 0
        association.release()
    assert len(kept) == 40


def test_a_pdu_of_4_gb_and_a_caller_that_drips_are_left() -> None:
    with (
        receiver(Callers([], HERE, object_s=0.3, object_bytes=1000), lambda content: None) as server,
        socket.create_connection(("127.0.0.1", server.port), 5) as dripping,
        socket.create_connection(("127.0.0.1", server.port), 5) as greedy,
    ):
        greedy.sendall(struct.pack(">BBL", 1, 0, 0xFFFFFFFF))
        dripping.sendall(struct.pack(">BBL", 1, 0, 1000))
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            send_on(greedy, bytes(1 << 16), 0.0)
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            send_on(dripping, b"\0", 0.01)


def send_on(connection: socket.socket, piece: bytes, wait_s: float) -> None:
    for _ in range(1000):
        connection.sendall(piece)
        time.sleep(wait_s)


def test_a_port_that_is_taken_is_one_line() -> None:
    with receiver(Callers([], HERE), lambda content: None) as server, pytest.raises(LunglineError, match="in use"):
        StoreScp("LUNGLINE", "127.0.0.1", server.port, Callers([], HERE), lambda content: None)


def test_what_a_node_takes_leaves_the_outbox_and_what_it_refuses_is_kept_apart(tmp_path, monkeypatch) -> None:
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    (incoming / "0.dcm").write_bytes(as_file(image(0, 0)))
    _, made = tiny_answer(incoming, tmp_path / "answers")
    said: list[str] = []
    archive = Archive()
    there, away = Node("ARCHIVE", "127.0.0.1", archive.port), Node("AWAY", "127.0.0.1", free_port())
    outbox = Outbox(tmp_path / "private", [there, away], "LUNGLINE", said.append)
    for file in made:
        outbox.put(file)
    assert outbox.waiting() == 4
    assert outbox.send_once(there)
    assert sorted(kind for _, kind, _, _ in archive.stored) == ["SEG", "SR"]
    assert not outbox.send_once(away)
    assert not outbox.send_once(away)
    assert said == [f"{away} does not answer. Start it, or mend its list of callers (LUNGLINE). 2 objects wait for it."]
    assert Outbox(tmp_path / "private", [away], "LUNGLINE", said.append).waiting() == 2  # after a restart, too
    statuses = iter([0xA701, 0xB000, 0x0110])
    monkeypatch.setattr(Archive, "_store", lambda self, event: next(statuses))
    archive.server.shutdown()
    archive = Archive()
    other = Node("ARCHIVE", "127.0.0.1", archive.port)
    outbox = Outbox(tmp_path / "private", [other], "LUNGLINE", said.append)
    for file in made:
        outbox.put(file)
    assert not outbox.send_once(other)  # one later, one with a warning
    assert outbox.send_once(other)
    assert len(list((tmp_path / "private/refused" / other.folder).iterdir())) == 1
    assert "refuses" in said[-1]
    assert "0x0110" in said[-1]
    archive.server.shutdown()


@pytest.mark.parametrize("text", ["PACS", "PACS@host", "@host:1", "PACS@host:0", "PACS@host:70000", "A" * 17 + "@h:1"])
def test_what_is_no_node_is_one_line(text) -> None:
    with pytest.raises(LunglineError, match="expected a DICOM node as AE@host:port"):
        Node.parse(text)


def test_a_node_is_read_as_it_is_written() -> None:
    for text in ("PACS@10.1.2.3:104", "MY PACS@[fd00::1]:11112"):
        assert str(Node.parse(text)) == text
