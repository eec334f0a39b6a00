"""Codes that a scan carries, in words."""

from __future__ import annotations

from lungline.flags import CODES
from lungline.storage.hdf5 import Code


def explain(code: Code) -> str:
    """A code in words: what it means, what was found, what to do."""
    known = CODES.get(code.code)
    found = f" Found: {code.detail}." if code.detail else ""
    return f"{code.code}: {known.meaning}.{found} {known.remedy}" if known else f"{code.code}.{found}"
