"""A request to a server that may be broken or hostile: no redirect, no proxy, a limit of bytes and of total time."""

import base64
import http.client
import ipaddress
import netrc
import os
import socket
import threading
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from lungline.errors import LunglineError

_PIECE_BYTES = 1 << 20
#: Of the environment: a login for every server that is named, before those of ~/.netrc; no process of ours inherits it.
LOGIN_VARIABLES = ("LUNGLINE_PACS_USER", "LUNGLINE_PACS_PASSWORD", "LUNGLINE_PACS_TOKEN")


class UnreachableError(LunglineError):
    """The server does not answer, or not in time; later it may."""


@dataclass(frozen=True)
class Reply:
    """What a server replied: status (200), its reason ("OK"), the body, and of what type it is."""

    status: int
    reason: str
    body: bytes
    content_type: str = ""


def checked_url(url: str) -> str:
    """The URL with a scheme (http where it has none) and without a slash at its end.

    Raises
    ------
    LunglineError
        If it is no address of a server, or holds a user or a password, which would stand in lists of processes, on
        terminals and in logs; none of them is quoted.
    """
    whole = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(whole)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if "@" in whole:
        found = "The URL holds a user or a password, which others can read in the list of processes."
        raise LunglineError(f"{found} Take both out of it, up to the @, and put them into ~/.netrc.")
    if not sound or parts.query or parts.fragment or not whole.isprintable() or " " in whole:
        raise LunglineError(f"{url!a}: expected the address of a server, as HOST:8042 or https://HOST.")
    return whole.rstrip("/")


def request(
    url: str,
    body: bytes | None = None,
    *,
    seconds: float,
    max_bytes: int,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """The reply to a GET, or to a POST of `body`. Login: `LOGIN_VARIABLES`, else what ~/.netrc has of the host.

    Nothing is sent to any other host: a redirect is a reply like others.

    Parameters
    ----------
    url : str
        Below one that `checked_url` gave.
    body : bytes or None
    seconds : float
        For all of it: a server that sends a byte a minute does not keep us.
    max_bytes : int
        Of the reply's body.
    headers : mapping, optional
        Beside the login.

    Raises
    ------
    UnreachableError
        If no reply came whole, in time, within its limit.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    headers = {**(headers or {}), **_login(host, parts.scheme)}
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    late = threading.Event()
    with closing(kind(host, parts.port, timeout=seconds)) as connection:
        timer: threading.Timer | None = None
        try:
            connection.connect()
            timer = threading.Timer(seconds, _end, (connection.sock, late))
            timer.daemon = True
            timer.start()
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path or "/"
            connection.request("GET" if body is None else "POST", target, body=body, headers=headers)
            answer = connection.getresponse()
            if len(set(answer.headers.get_all("Content-Length", []))) > 1:  # one of them is a lie
                raise http.client.HTTPException
            received = bytearray()
            while piece := answer.read(min(_PIECE_BYTES, max_bytes + 1 - len(received))):
                received += piece
                if len(received) > max_bytes:
                    raise UnreachableError(f"{_server(url)}: a reply of more than {max_bytes} bytes.")
            if late.is_set() or (answer.length or 0) > 0:
                raise http.client.IncompleteRead(b"")
            return Reply(answer.status, answer.reason, bytes(received), answer.getheader("Content-Type", ""))
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = f"no whole reply in {seconds:g} s" if late.is_set() else _reason(error)
            raise UnreachableError(f"{_server(url)}: no answer ({reason}). Start it, or mend the URL.") from None
        finally:
            if timer:
                timer.cancel()


def _end(connected: socket.socket, late: threading.Event) -> None:
    late.set()
    with suppress(OSError):
        connected.shutdown(socket.SHUT_RDWR)


def _server(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def _login(host: str, scheme: str) -> dict[str, str]:
    user, password, token = (os.environ.get(name, "") for name in LOGIN_VARIABLES)
    if token or user:
        if scheme != "https" and not is_loopback(host):
            found = "the login of the environment would go unencrypted to another machine"
            raise LunglineError(f"{host}: {found}. Name the server by https.")
        return {"Authorization": f"Bearer {token}" if token else _basic(user, password)}
    try:
        known = netrc.netrc().authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return {}
    return {} if known is None else {"Authorization": _basic(known[0], known[2])}


def _basic(user: str, password: str | None) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, by its name or address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
