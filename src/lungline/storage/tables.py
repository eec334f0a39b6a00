"""CSV tables, also those of others, read as text: an id 007 keeps its zeros, an id NA stays an id.

What is wrong in them stops a run (`Faults`) or is said on stderr and kept in `input_warnings.csv` (`Note`).
"""

import csv
import math
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from io import StringIO
from itertools import islice
from pathlib import Path

from lungline import limits
from lungline.errors import FaultsError, LunglineError
from lungline.former_names import former_columns
from lungline.storage.checksums import check, write_checksummed_text
from lungline.storage.foreign_files import refuse_larger
from lungline.storage.spreadsheets import (
    bare,
    cells,
    decoded,
    first_row,
    invisible_in,
    points_for_commas,
    without_declaration,
)

Row = tuple[int, dict[str, str]]

_MOST_SHOWN = 20
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


class Faults:
    """What is wrong with a table, gathered line by line, so that one report names all of it."""

    def __init__(self, path: Path) -> None:
        self._path, self._found = path, list[tuple[int, str]]()

    def add(self, line: int, what: str) -> None:
        """Remember a fault. `what` quotes no cell: reports end in logs, and a cell may identify a patient."""
        self._found.append((line, what))

    def refuse(self) -> None:
        """`FaultsError` with every fault that was added, in the order of the lines; nothing if there is none."""
        lines = [f"line {line}: {what}" for line, what in sorted(self._found)]
        if len(lines) == 1:
            raise FaultsError([f"{self._path}, {lines[0]}"])
        if lines:
            raise FaultsError([f"{self._path}: {len(lines)} faults.", *shortened(lines)])


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, indented, and how many more there are."""
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return [f"  {line}" for line in [*lines[:_MOST_SHOWN], *more]]


def read_rows(
    path: Path,
    columns: Sequence[str],
    faults: Faults | None = None,
    *,
    numbers: Sequence[str] = (),
    foreign: bool = False,
) -> list[Row]:
    """The rows of a table as (line where the row begins, column -> text); blank lines and columns are skipped.

    A byte order mark and a line `sep=;` are dropped. Columns are parted by the comma, the semicolon or the tab: by that
    one with which the header names all that is needed; further columns are read, too. Of `foreign` tables, cells lose
    quotes and invisible characters around them. Where the comma parts no columns, decimal commas of the columns
    `numbers` become points.

    `LunglineError` if the file is no such table, or does not fit its checksum: it names every line that is wrong,
    quoting nothing, as words may identify a patient. Rows that are wrong are only added to `faults`, if it is given.
    """
    check(path)
    gathered = faults or Faults(path)
    text, marks = without_declaration(table_text_of(path))
    delimiter = _delimiter(path, text, marks, columns)
    names = first_row(text, delimiter)
    lines: list[int] = []
    table: list[list[str]] = []
    start = 1
    try:
        for start, words in islice(cells(text, delimiter), 1, None):
            if fault := _fault_of(words, names, columns):
                gathered.add(start, fault)
                continue
            lines.append(start)
            padded = [*words, *[""] * len(names)][: len(names)]
            table.append([bare(word) if foreign else word.strip() for word in padded])
    except csv.Error as error:
        gathered.add(_line_of_error(text, delimiter), f"not a CSV table ({error}). What follows was not read.")
    if faults is None:
        gathered.refuse()
    held: dict[str, list[str]] = {name: [row[k] for row in table] for k, name in enumerate(names) if name}
    held |= zip(numbers, points_for_commas([held[name] for name in numbers], delimiter), strict=True)
    return [(line, {name: column[k] for name, column in held.items()}) for k, line in enumerate(lines)]


def _fault_of(words: Sequence[str], names: Sequence[str], columns: Sequence[str]) -> str:
    """What is wrong with the number of cells of a row; empty ones at its end may be there or not."""
    used = max((k for k, word in enumerate(words, start=1) if word.strip()), default=0)
    needed = max(k for k, name in enumerate(names, start=1) if name in columns)
    if needed <= len(words) and used <= len(names):
        return ""
    return f"expected {len(names)} columns. Got {used if used > len(names) else len(words)}."


def _line_of_error(text: str, delimiter: str) -> int:
    """The line where the row begins that is no CSV."""
    line = 1
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    with suppress(csv.Error):
        for _ in rows:
            line = rows.line_num + 1
    return line


def table_text_of(path: Path) -> str:
    """The text of a table; `LunglineError` names every line that holds no text."""
    refuse_larger(path, limits.MAX_TABLE_BYTES)
    raw = path.read_bytes()
    if max(map(raw.count, b"\r\n")) > limits.MAX_TABLE_LINES or sum(map(raw.count, b",;\t")) > limits.MAX_TABLE_CELLS:
        found = f"expected at most {limits.MAX_TABLE_LINES} lines and {limits.MAX_TABLE_CELLS} cells"
        raise LunglineError(f"{path}: too large for a table, {found}. Take it apart.")
    try:
        text = decoded(raw)
    except UnicodeDecodeError:
        text = ""
    faults = Faults(path)
    lines = text.encode().split(b"\n") if text else raw.split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            if "\0" in line.decode("utf-8"):
                faults.add(number, "holds NUL bytes. Save the table as UTF-8 text.")
        except UnicodeDecodeError:
            faults.add(number, "not UTF-8 text. Save the table as UTF-8.")
    faults.refuse()
    return text


def _delimiter(path: Path, text: str, marks: str, columns: Sequence[str]) -> str:
    """The character with which the header names every column, each once."""
    headers = {mark: first_row(text, mark) for mark in marks}
    for delimiter, header in headers.items():
        if all(header.count(name) == 1 for name in columns):
            return delimiter
    best = max(headers.values(), key=lambda header: len(set(header) & set(columns)), default=[])
    missing = [name for name in columns if name not in best]
    twice = [name for name in columns if best.count(name) > 1]
    found = f"{', '.join(missing)} missing" if missing else f"{', '.join(twice)} twice"
    raise LunglineError(
        f"{path}, line 1: expected the columns {', '.join(columns)}, with comma, semicolon or tab between them. "
        f"Found {found}.{_nearly(best, missing) or former_columns(best, missing)} Mend the header."
    )


def _nearly(header: Sequence[str], missing: Sequence[str]) -> str:
    """The names of a header that look like missing ones, with what is invisible in them; they are no ids."""
    wanted = {re.sub(r"[^a-z0-9]", "", name.lower()) for name in missing}
    found = [name for name in header if re.sub(r"[^a-z0-9]", "", name.lower()) in wanted]
    return f" There is {', '.join(map(ascii, found))}." if found else ""


def kind_of_word(word: str) -> str:
    """What a cell holds, in words that do not quote it, but show what is invisible in it."""
    if not word:
        return "nothing"
    if re.fullmatch(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?|[+-]?[0-9]+,", word):
        return "a decimal comma"
    if _DECIMAL.match(word):
        return "another number" if math.isfinite(float(word)) else "a number that is too large"
    return f"a word with {inside}" if (inside := invisible_in(word)) else "another word"


def decimal(word: str, name: str) -> float:
    """A finite number with a decimal point; `LunglineError`, which does not quote the word, for anything else."""
    if _DECIMAL.match(word) and math.isfinite(float(word)):
        return float(word)
    raise LunglineError(f"{name}: expected a finite number with a decimal point. Found {kind_of_word(word)}.")


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as CSV text with a header and `\\n` line ends; None is written as nothing."""
    out = StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return out.getvalue()


@dataclass(frozen=True)
class Note:
    """One thing that was found in a table.

    `file` is the table's name without its folder; `line` is None for what is missing; `flag` is a `T_` flag of
    `lungline.qc_flags`; `what` holds no cell of the table, because an id may identify a patient.
    """

    file: str
    line: int | None
    flag: str
    what: str


_NOTE_COLUMNS = tuple(field.name for field in fields(Note))


def read_notes(path: Path) -> list[Note]:
    """The notes that `write_notes` wrote; none if there is no such file."""
    if not path.is_file():
        return []
    return [
        Note(cells["file"], int(cells["line"]) if cells["line"] else None, cells["flag"], cells["what"])
        for _, cells in read_rows(path, _NOTE_COLUMNS)
    ]


def write_notes(path: Path, notes: Iterable[Note]) -> None:
    """Write notes as a table, with its checksum; a file that says the same already is not touched."""
    text = table_text(_NOTE_COLUMNS, map(astuple, notes))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_checksummed_text(path, text)


def replace_notes(path: Path, tables: Collection[str], notes: Iterable[Note]) -> None:
    """Write the notes on these tables in place of older ones on them; notes on other tables stay."""
    write_notes(path, [*(note for note in read_notes(path) if note.file not in tables), *notes])


def log_notes(notes: Sequence[Note], path: Path) -> None:
    """Print the first notes on stderr, and where all of them stand."""
    if notes:
        lines = [f"{note.file}, line {note.line or '-'}: {note.flag}, {note.what}" for note in notes]
        print("\n".join([f"{path}: {len(notes)} warnings.", *shortened(lines)]), file=sys.stderr)
