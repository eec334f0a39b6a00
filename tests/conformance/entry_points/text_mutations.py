"""Ways to change a file that is read as text: one value of JSON, one cell of a table, one line, one word of XML."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from typing import Any

from tests.conformance.robustness.mutations import CHANGES, NUMBERS

_WORDS = (
    "",
    "a",
    "../../x",
    "=1+1",
    "\x00",
    "\x1b[2J",
    "é" * 300,
    "null",
    "true",
    "1.2.3",
    "*a",
    "&a",
    "- -",
    "{",
    '"',
)
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 1e308, 10**400, float("nan"), float("inf"), -0.0, 2**63, 1e-320),
    *([], {}, [[]], [None], {"": {}}, [1, 2, 3], [[[[[[[[[[1]]]]]]]]]], "", "a", "1", "\ud800", "x" * 5000),
)


def _change_value(blob: bytes, rng: random.Random) -> bytes:
    """One value of JSON gets another one, changes places with another, goes, or stands twice."""
    content = json.loads(blob)
    places: list[tuple[Any, Any]] = []

    def gather(part: Any) -> None:
        for key in list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ():
            places.append((part, key))
            gather(part[key])

    gather(content)
    if not places:
        return json.dumps(rng.choice(_VALUES)).encode()
    part, key = rng.choice(places)
    what = rng.randrange(8)
    if what == 0:
        del part[key]
    elif what == 1:
        other, name = rng.choice(places)
        part[key] = json.loads(json.dumps(other[name]))
    elif what == 2 and isinstance(part, list):
        part.append(part[key])
    elif what == 3 and isinstance(part, dict):
        part[f"{key}{rng.choice(_WORDS)}"] = part.pop(key)
    elif what == 4 and isinstance(part[key], int | float):
        part[key] = part[key] * rng.choice((-1, 2, 1e6, 1e-6)) + rng.choice((0, 1))
    else:
        part[key] = rng.choice(_VALUES)
    return json.dumps(content).encode()


def _change_cell(blob: bytes, rng: random.Random) -> bytes:
    """One cell of a table gets another word."""
    lines = blob.split(b"\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split(b",")
    cells[rng.randrange(len(cells))] = rng.choice((*NUMBERS, *_WORDS)).encode()
    lines[at] = rng.choice((b",", b",", b",", b";", b"\t")).join(cells)
    return rng.choice((b"\n", b"\n", b"\r\n", b"\r")).join(lines)


def _change_text_line(blob: bytes, rng: random.Random) -> bytes:
    """One line goes, stands twice, moves, is indented or loses a word."""
    lines = blob.split(b"\n")
    at, what = rng.randrange(len(lines)), rng.randrange(5)
    if what == 0:
        del lines[at]
    elif what == 1:
        lines.insert(rng.randrange(len(lines) + 1), lines[at])
    elif what == 2:
        lines.insert(rng.randrange(len(lines)), lines.pop(at))
    elif what == 3:
        lines[at] = rng.choice((b"  ", b"\t", b"- ", b"? ", b"!!python/name:os.system ", b"!!map ")) + lines[at]
    else:
        lines[at] = lines[at].replace(rng.choice((b" ", b":", b"-", b",", b'"')), b"", 1)
    return b"\n".join(lines)


def _change_word(blob: bytes, rng: random.Random) -> bytes:
    """One word or number, wherever it stands, becomes another."""
    found = list(re.finditer(rb"[A-Za-z_]+|-?[0-9]+(\.[0-9]+)?", blob))
    if not found:
        return blob
    one = rng.choice(found)
    return blob[: one.start()] + rng.choice((*NUMBERS, *_WORDS)).encode() + blob[one.end() :]


def _as_utf_16(blob: bytes, rng: random.Random) -> bytes:
    return blob.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-8-sig", "utf-32", "utf-7")))


def _nested(blob: bytes, rng: random.Random) -> bytes:
    start, end = rng.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"- ", b""), (b"{a: ", b"}")))
    depth = rng.choice((3, 200, 2000, 20_000))
    return start * depth + blob + end * depth


BYTES = ("flip-bits", "insert", "delete", "replace", "truncate", "duplicate-chunk", "move-chunk")
ALL: dict[str, Callable[[bytes, random.Random], bytes]] = {
    **{name: CHANGES[name] for name in (*BYTES, "swap-elements", "change-element", "change-field")},
    "value": _change_value,
    "cell": _change_cell,
    "text-line": _change_text_line,
    "word": _change_word,
    "encoding": _as_utf_16,
    "nested": _nested,
}
TEXT = (*BYTES, "text-line", "word", "word", "word", "encoding", "nested")
TABLE = (*TEXT, "cell", "cell", "cell", "cell")
JSON = (*TEXT, *["value"] * 10)


def changed(blob: bytes, rng: random.Random, ways: tuple[str, ...]) -> tuple[str, bytes]:
    """The name of a way that is drawn, and what it makes of these bytes; one that does not fit them flips bits."""
    way = rng.choice(ways)
    try:
        return way, ALL[way](blob, rng)
    except Exception:  # the file is not, or no longer, of the kind that this way understands
        return "flip-bits", ALL["flip-bits"](blob, rng)
