"""What the pages share: one HTML file that asks nobody for anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from lungline import NOTICE, __version__
from lungline.reports.flag_words import explain
from lungline.storage.hdf5 import Code

_FOLDER = Path(__file__).parent / "page"
#: A browser that obeys it opens no connection at all.
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"


@cache
def asset(name: str) -> str:
    """A file of the folder `reporting/page`, as text."""
    return (_FOLDER / name).read_text(encoding="utf-8")


def look_digest() -> str:
    """Changes when style or scripts of the pages change, which no fingerprint of code sees."""
    files = sorted(_FOLDER.iterdir())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]


def document(title: str, body: Iterable[str], *, script: str = "", data: str = "") -> str:
    """A whole page around `body` (HTML); `script` is a name in `reporting/page`, `data` HTML that it reads."""
    code = f"<script>\n{asset(script)}</script>" if script else ""
    parts = "\n".join(body)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="referrer" content="no-referrer">
<title>{escape(title)}</title>
<link rel="icon" href="data:,">
<style>
{asset("page.css")}</style>
</head>
<body>
<header><h1>{escape(title)}</h1><p class="notice">{NOTICE}</p></header>
<main>
{parts}
</main>
<footer>Made by lungline {__version__}. This file holds all that it shows and asks no server for anything.</footer>
{data}
{code}
</body>
</html>
"""


def as_data(name: str, kind: str, text: str) -> str:
    """Data for a script; nothing in it can end the element early."""
    return f'<script type="{kind}" id="{name}">{text.replace("</", "<" + chr(92) + "/")}</script>'


def as_json(name: str, value: Any) -> str:
    return as_data(name, "application/json", json.dumps(value, allow_nan=False))


def code_box(code: Code) -> str:
    """A code with what it means and what to do."""
    bad = " bad" if code.code.startswith("Q_") else ""
    name, _, words = explain(code).partition(" ")
    return f'<div class="code{bad}"><b>{escape(name)}</b> {escape(words)}</div>'


def percent(probability: float) -> str:
    """A probability as a reader takes it in; never 0 % or 100 % where it is neither."""
    if 0 < probability < 0.01:
        return "below 1 %"
    if 0.99 < probability < 1:
        return "above 99 %"
    return f"{100 * probability:.0f} %"
