"""Files that others may have written: no more of them is read than what they can hold."""

import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from lungline import limits
from lungline.errors import CorruptFileError

MOST_JSON_BYTES = limits.MAX_CARD_BYTES
MOST_WEIGHTS_BYTES = limits.MAX_WEIGHTS_BYTES


def refuse_larger(path: Path, most_bytes: int) -> None:
    """`CorruptFileError` if a path is no file (but a pipe, a device), or larger than `most_bytes`."""
    try:
        about = os.stat(path)
    except OSError as error:
        raise CorruptFileError(f"{path}: {error.strerror}. Restore it, or name another.") from None
    if not stat.S_ISREG(about.st_mode):
        raise CorruptFileError(f"{path}: expected a file. Found a folder, a pipe or a device. Name another.")
    if about.st_size > most_bytes:
        raise CorruptFileError(
            f"{path}: expected at most {most_bytes} bytes. Found {about.st_size}. It is none of ours, or damaged."
        )


def read_any_json(path: Path, most_bytes: int, remedy: str = "Restore it, or name another.") -> Any:
    """What a JSON file holds; `CorruptFileError` if it is larger than `most_bytes`, or none.

    Empty lists take thirty times the memory of their two characters, so values are counted before one is made.
    """
    refuse_larger(path, most_bytes)
    try:
        text = path.read_text(encoding="utf-8")
        if sum(map(text.count, "[{,")) > limits.MAX_JSON_VALUES:
            raise CorruptFileError(f"{path}: expected at most {limits.MAX_JSON_VALUES} values. Found more. {remedy}")
        return json.loads(text, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise CorruptFileError(f"{path}: expected JSON. It cannot be read ({type(error).__name__}). {remedy}") from None


def _whole(digits: str) -> int | float:
    """A whole number that a float can hold; `ValueError` for a larger one, with which arithmetic would overflow."""
    if math.isinf(float(digits)):
        raise ValueError("a number of more than 308 digits")
    return int(digits)


def read_json(path: Path, remedy: str = "Restore it, or name another.") -> dict[str, Any]:
    """The object in a JSON file; `CorruptFileError` if it is larger than 16 MiB, or holds something else."""
    content = read_any_json(path, MOST_JSON_BYTES, remedy)
    if not isinstance(content, dict):
        raise CorruptFileError(f"{path}: expected a JSON object. Found {type(content).__name__}. {remedy}")
    return content
