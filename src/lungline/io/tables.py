"""CSV tables, also those of others, read as text: an id 007 keeps its zeros, an id NA stays an id."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path

from lungline.errors import LunglineError
from lungline.io.seals import check

_MAX_BYTES = 1 << 28


def read_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table as (line number, column -> text); blank lines are skipped.

    A byte order mark is dropped, and a header with `;` but no `,` is read with `;` between columns.

    Parameters
    ----------
    path : Path
    columns : sequence of str
        What the header must name; further columns are read, too.

    Raises
    ------
    LunglineError
        If the file is no such table; names file, line and what was expected. If it has a seal that it does not fit.
    """
    check(path)
    lines = csv.reader(StringIO(_text(path), newline=""), delimiter=_delimiter(path), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in columns if name not in header]
        if missing or len(set(header)) != len(header):
            raise LunglineError(f"{path}, line 1: expected the columns {', '.join(columns)}. Got {', '.join(header)}.")
        for words in lines:
            if not any(word.strip() for word in words):
                continue
            if len(words) != len(header):
                raise LunglineError(f"{path}, line {lines.line_num}: expected {len(header)} columns. Got {len(words)}.")
            yield lines.line_num, {name: word.strip() for name, word in zip(header, words, strict=True)}
    except csv.Error as error:
        raise LunglineError(f"{path}, line {lines.line_num}: not a CSV table ({error}).") from None


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise LunglineError(f"{path}: too large for a table. Expected at most {_MAX_BYTES} bytes.")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise LunglineError(f"{path}, line {line}: not UTF-8 text. Save the table as UTF-8.") from None


def _delimiter(path: Path) -> str:
    with open(path, "rb") as handle:
        first = handle.readline(4096)
    return ";" if b";" in first and b"," not in first else ","


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text with a header and `\\n` line ends; None is written as nothing."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()
