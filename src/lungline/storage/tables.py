"""CSV tables, also those of others, read as text: an id 007 keeps its zeros, an id NA stays an id.

What is wrong in them stops a run (`Faults`) or is said on stderr and kept in `input_warnings.csv` (`Note`).
"""

import csv
import math
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from io import StringIO
from pathlib import Path

from lungline.errors import LunglineError
from lungline.former_names import former_columns
from lungline.storage.checksums import check, write_checksummed_text

Row = tuple[int, dict[str, str]]

_MAX_BYTES = 1 << 28
_MOST_SHOWN = 20
_DELIMITERS = ",;\t"
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\Z")


class Faults:
    """What is wrong with a table, gathered line by line, so that one report names all of it."""

    def __init__(self, path: Path) -> None:
        self._path, self._found = path, list[tuple[int, str]]()

    def add(self, line: int, what: str) -> None:
        """Remember a fault. `what` quotes no cell: reports end in logs, and a cell may identify a patient."""
        self._found.append((line, what))

    def refuse(self) -> None:
        """`LunglineError` with every fault that was added, in the order of the lines; nothing if there is none."""
        lines = [f"line {line}: {what}" for line, what in sorted(self._found)]
        if len(lines) == 1:
            raise LunglineError(f"{self._path}, {lines[0]}")
        if lines:
            raise LunglineError("\n".join([f"{self._path}: {len(lines)} faults.", *shortened(lines)]))


def shortened(lines: Sequence[str]) -> list[str]:
    """The first lines, indented, and how many more there are."""
    more = [f"and {len(lines) - _MOST_SHOWN} more"] if len(lines) > _MOST_SHOWN else []
    return [f"  {line}" for line in [*lines[:_MOST_SHOWN], *more]]


def read_rows(path: Path, columns: Sequence[str], faults: Faults | None = None) -> list[Row]:
    """The rows of a table as (line where the row begins, column -> text); blank lines are skipped.

    A byte order mark is dropped. Columns are parted by the comma, the semicolon or the tab: by that one with
    which the header names all that is needed; further columns are read, too.

    `LunglineError` if the file is no such table, or does not fit its checksum: it names every line that is wrong,
    quoting nothing, as words may identify a patient. Rows that are wrong are only added to `faults`, if it is given.
    """
    check(path)
    gathered = faults or Faults(path)
    text = _text(path)
    lines = csv.reader(StringIO(text, newline=""), delimiter=_delimiter(path, text, columns), strict=True)
    rows: list[Row] = []
    header = [name.strip() for name in next(lines)]
    start = lines.line_num + 1
    try:
        for cells in lines:
            if len(cells) == len(header):
                rows.append((start, {name: word.strip() for name, word in zip(header, cells, strict=True)}))
            elif any(word.strip() for word in cells):
                gathered.add(start, f"expected {len(header)} columns. Got {len(cells)}.")
            start = lines.line_num + 1
    except csv.Error as error:
        gathered.add(start, f"not a CSV table ({error}). What follows was not read.")
    if faults is None:
        gathered.refuse()
    return [row for row in rows if any(row[1].values())]


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_BYTES:
        raise LunglineError(f"{path}: too large for a table. Expected at most {_MAX_BYTES} bytes.")
    raw = path.read_bytes()
    faults = Faults(path)
    for number, line in enumerate(raw.split(b"\n"), start=1):
        try:
            if "\0" in line.decode("utf-8"):
                faults.add(number, "holds NUL bytes. Save the table as UTF-8 text.")
        except UnicodeDecodeError:
            faults.add(number, "not UTF-8 text. Save the table as UTF-8.")
    faults.refuse()
    return raw.decode("utf-8-sig")


def _delimiter(path: Path, text: str, columns: Sequence[str]) -> str:
    """The character with which the header names every column, each once."""
    headers = {}
    for delimiter in _DELIMITERS:
        try:
            names = next(csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True), [])
        except csv.Error:
            continue
        headers[delimiter] = [name.strip() for name in names]
    for delimiter, header in headers.items():
        if set(columns) <= set(header) and len(set(header)) == len(header):
            return delimiter
    best = max(headers.values(), key=lambda header: len(set(header) & set(columns)), default=[])
    missing = [name for name in columns if name not in best]
    found = f"{', '.join(missing)} missing" if missing else "a column stands there twice"
    raise LunglineError(
        f"{path}, line 1: expected the columns {', '.join(columns)}, with comma, semicolon or tab between them. "
        f"Found {found}.{former_columns(best, missing)} Mend the header."
    )


def decimal(word: str, name: str) -> float:
    """A finite number with a decimal point; `LunglineError`, which does not quote the word, for anything else."""
    if _DECIMAL.match(word) and math.isfinite(float(word)):
        return float(word)
    found = "nothing" if not word else "another word"
    if _DECIMAL.match(word.replace(",", ".", 1)):
        found = "a decimal comma" if "," in word else "a number that is too large"
    raise LunglineError(f"{name}: expected a finite number with a decimal point. Found {found}.")


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
