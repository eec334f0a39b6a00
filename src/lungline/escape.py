r"""Escape foreign text: what a terminal or a spreadsheet would act upon is written as \xNN."""

import re

_RUN_BY_SPREADSHEETS = "=+-@"
_ESCAPED = re.compile(r"\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8}))")


def visible(text: str, keep: str = "") -> str:
    """The text with every character that shows nothing (control, direction, half of a pair) escaped, but `keep`."""
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def cell(text: str) -> str:
    r"""The text as one cell of a table: one line, no formula, no blanks at its ends; `uncell` gives it back.

    Bytes of a file name that are no UTF-8 are kept, as escapes.
    """
    inner = visible(text.replace("\\", _escape("\\")))
    if inner[:1] and inner[0] in _RUN_BY_SPREADSHEETS:
        inner = _escape(inner[0]) + inner[1:]
    return re.sub(r"^ +| +$", lambda blanks: _escape(" ") * len(blanks[0]), inner)


def uncell(word: str) -> str:
    """The inverse of `cell`."""
    return _ESCAPED.sub(lambda found: chr(int(next(filter(None, found.groups())), 16)), word)


def _escape(character: str) -> str:
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
