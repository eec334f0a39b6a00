"""Result files: JSON that says what it is, on which data it was computed, and what it is not for."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lungline import NOTICE, __version__
from lungline.errors import CorruptFileError
from lungline.storage.checksums import check, write_checksummed_text
from lungline.storage.foreign_files import read_json

ORIGINS = {
    True: "synthetic cohort: chests simulated by lungline, no patient",
    False: "scans given by the user",
    None: "not stated",
}


def about_data(datasets: Iterable[str], synthetic: bool | None) -> dict[str, Any]:
    """What a result was computed on: names of the data sets, and whether they are synthetic."""
    return {"datasets": sorted(set(datasets)), "origin": ORIGINS[synthetic]}


def write_result(path: Path, result: Mapping[str, Any], **beside: str) -> None:
    """Write a result as JSON, in the order given, with the notice first; BESIDE it texts, by their suffix."""
    content = {"notice": NOTICE, "lungline_version": __version__, **result}
    write_checksummed_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")
    for suffix, text in beside.items():
        write_checksummed_text(path.with_suffix(f".{suffix}"), text)


def read_result(path: Path) -> dict[str, Any]:
    """A result that `write_result` wrote; `CorruptFileError` if it is none."""
    content = read_json(path)
    check(path)
    if content.get("notice") != NOTICE:
        raise CorruptFileError(f"{path}: not a result of lungline. Expected a JSON object with our notice.")
    return content
