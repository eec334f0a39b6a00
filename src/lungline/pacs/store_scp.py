"""A receiver of DICOM objects (C-STORE and C-ECHO, by pynetdicom): who may call, how much, and for how long.

pynetdicom itself bounds neither the length of a PDU nor that of an object, and waits for a caller that drips; the
socket given to it does.
"""

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lungline.errors import LunglineError
from lungline.pacs.inbox import FullError
from lungline.pacs.outbox import mute

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_SUCCESS, _FULL, _CANNOT_UNDERSTAND, _MISMATCH = 0x0000, 0xA700, 0xC000, 0xA900
_VERIFICATION = "1.2.840.10008.1.1"  # C-ECHO
_OVERHEAD = 1.05  # of PDUs
_SMALL = 1 << 20  # commands, the association's own words


@dataclass(frozen=True)
class Callers:
    """Who may call, and with how much.

    Attributes
    ----------
    titles : sequence of str
        AE titles of callers; empty: any.
    networks : sequence of networks
        Their addresses.
    associations : int
        At a time.
    object_bytes : int
        Of one object.
    object_s : float
        For one object to arrive, and for the next one to begin.
    """

    titles: Sequence[str]
    networks: Sequence[Network]
    associations: int = 8
    object_bytes: int = 1 << 30
    object_s: float = 600.0

    def may_call(self, address: str) -> bool:
        """Whether an address is one of theirs."""
        found = ipaddress.ip_address(address.partition("%")[0])
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


def networks_of(words: Sequence[str]) -> list[Network]:
    """Addresses or networks as text (10.1.2.0/24); `LunglineError` if one is neither."""
    found: list[Network] = []
    for word in words:
        try:
            found.append(ipaddress.ip_network(word))
        except ValueError:
            raise LunglineError(f"{word!a}: expected an IP address or network, e.g. 10.1.2.3 or 10.1.2.0/24.") from None
    return found


class _BoundedSocket(socket.socket):
    """A socket that ends when more bytes, or more time, are taken than one object may."""

    max_bytes = _SMALL
    seconds = 60.0

    def begin(self) -> None:
        """From here on another object may come."""
        self.taken, self.end = 0, time.monotonic() + self.seconds

    def recv(self, size: int, flags: int = 0) -> bytes:
        left = self.end - time.monotonic()
        if left <= 0 or self.taken > self.max_bytes:
            raise OSError("more than one object may be")
        self.settimeout(min(left, 30.0))
        piece = super().recv(size, flags)
        self.taken += len(piece)
        return piece


class StoreScp:
    """Listens on HOST:PORT (0: a free one) from `start` to `close`; `keep` has every object, and keeps it or raises."""

    def __init__(self, ae_title: str, host: str, port: int, callers: Callers, keep: Callable[[bytes], None]) -> None:
        from pynetdicom import AE, AllStoragePresentationContexts, evt

        mute()
        here = AE(ae_title)
        here.require_called_aet = True
        here.require_calling_aet = list(callers.titles)
        here.maximum_associations = callers.associations
        here.acse_timeout = here.dimse_timeout = here.network_timeout = 30.0
        here.add_supported_context(_VERIFICATION)
        for context in AllStoragePresentationContexts:
            here.add_supported_context(str(context.abstract_syntax), _syntaxes())
        try:
            self._server: Any = here.make_server(
                (host, port),
                evt_handlers=[(evt.EVT_C_STORE, _stored, [keep])],
                server_class=_server_for(callers),
            )
        except OSError as error:
            raise LunglineError(f"{host}:{port}: nobody can listen there ({error.strerror}). Name another.") from None
        self.port = int(self._server.server_address[1])

    def start(self) -> None:
        """Take calls from now on, in threads."""
        threading.Thread(target=self._server.serve_forever, args=(0.2,), name="store-scp", daemon=True).start()

    def close(self) -> None:
        """Take no more calls."""
        with suppress(ValueError):  # pynetdicom forgets a server that it did not start itself
            self._server.shutdown()


def _stored(event: Any, keep: Callable[[bytes], None]) -> int:
    """The status of a C-STORE."""
    try:
        content = event.encoded_dataset()
        event.assoc.dul.socket.socket.begin()
        keep(content)
    except FullError:
        return _FULL
    except LunglineError:
        return _CANNOT_UNDERSTAND
    except OSError:  # a disk that is full, or broken
        return _FULL
    except Exception:  # of bytes from others; the association goes on
        return _MISMATCH
    return _SUCCESS


def _server_for(callers: Callers) -> type:
    from pynetdicom.transport import ThreadedAssociationServer

    class Bounded(_BoundedSocket):
        max_bytes = int(callers.object_bytes * _OVERHEAD) + _SMALL
        seconds = callers.object_s

    class Server(ThreadedAssociationServer):
        request_queue_size = 64

        def get_request(self) -> tuple[socket.socket, Any]:
            accepted, address = super().get_request()
            bounded = Bounded(fileno=accepted.detach())
            bounded.begin()
            return bounded, address

        def verify_request(self, request: Any, client_address: Any) -> bool:
            """Whether an address may call, and there is a thread for it: a connection may not say who it is."""
            most = 2 * callers.associations
            return callers.may_call(client_address[0]) and len(self.active_associations) < most

        def handle_error(self, request: Any, client_address: Any) -> None:
            """One connection ends."""

    return Server


def _syntaxes() -> list[str]:
    """Transfer syntaxes that `lungline predict` reads; deflated ones, which may become large, are not among them."""
    from pydicom import uid

    return [
        uid.ExplicitVRLittleEndian,
        uid.ImplicitVRLittleEndian,
        uid.JPEGLosslessSV1,
        uid.JPEGLossless,
        uid.JPEGLSLossless,
        uid.JPEGLSNearLossless,
        uid.JPEG2000Lossless,
        uid.JPEG2000,
        uid.RLELossless,
    ]
