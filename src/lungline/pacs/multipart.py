"""Multipart bodies of DICOMweb (multipart/related of RFC 2387, as PS3.18 uses it): made, and read from others."""

import re
import secrets

from lungline.errors import LunglineError

_MOST_HEADER_BYTES = 1 << 14
#: Where a whole object is asked for as it is stored.
ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'


def make(content: bytes) -> tuple[str, bytes]:
    """(Content-Type, body) with one DICOM file as its part."""
    boundary = secrets.token_hex(24)
    while boundary.encode() in content:
        boundary = secrets.token_hex(24)
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    body = b"".join((head, content, f"\r\n--{boundary}--\r\n".encode()))
    return f'multipart/related; type="application/dicom"; boundary={boundary}', body


def only_part(content_type: str, body: bytes) -> bytes:
    """The one part of a reply; a body that is no multipart is it.

    Raises
    ------
    LunglineError
        If it has no part, several, or is cut off.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/dicom":
        return body
    found = re.search(r';\s*boundary=(?:"([^"\r\n]{1,200})"|([^\s;"]{1,200}))', content_type, re.IGNORECASE)
    if kind != "multipart/related" or not found:
        raise LunglineError("the reply is neither multipart/related with a boundary nor application/dicom")
    line = b"--" + (found[1] or found[2]).encode("latin-1", "replace")
    start = 0 if body.startswith(line) else body.find(b"\r\n" + line) + 2
    if start == 1 or body[start + len(line) : start + len(line) + 2] == b"--":
        raise LunglineError("the reply has no part")
    head_end = body.find(b"\r\n\r\n", start, start + _MOST_HEADER_BYTES)
    if head_end < 0:
        raise LunglineError("the part of the reply has no end of its header")
    end = body.find(b"\r\n" + line, head_end + 2)
    if end < 0:
        raise LunglineError("the reply is cut off")
    if body[end + 2 + len(line) : end + 4 + len(line)] != b"--":
        raise LunglineError("the reply has several parts")
    return body[head_end + 4 : end]
