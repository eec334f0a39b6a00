"""Files of others are measured before they are read."""

from __future__ import annotations

import os

import pytest

from lungline.errors import CorruptFileError
from lungline.storage.foreign_files import MOST_JSON_BYTES, read_json, refuse_larger


def test_a_file_of_the_largest_size_is_taken_and_one_byte_more_is_not(tmp_path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    refuse_larger(path, 5)
    with pytest.raises(CorruptFileError, match=r"expected at most 4 bytes\. Found 5"):
        refuse_larger(path, 4)


def test_what_would_never_end_is_refused(tmp_path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero", "."):
        with pytest.raises(CorruptFileError, match="expected a file"):
            read_json(tmp_path / name)


def test_json_is_an_object_of_limited_size(tmp_path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}', encoding="utf-8")
    assert read_json(path) == {"a": 1}
    for content, words in (("[1]", "expected a JSON object"), ("{", "expected JSON"), ("[" * 100_000, "expected JSON")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(CorruptFileError, match=f"{words}.*Name it again"):
            read_json(path, "Name it again.")
    os.truncate(path, MOST_JSON_BYTES + 1)
    with pytest.raises(CorruptFileError, match="expected at most 16777216 bytes"):
        read_json(path)
