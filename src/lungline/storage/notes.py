"""What was found in the tables of others and does not stop the run: said on stderr, kept in `input_warnings.csv`."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lungline.storage.checksums import write_sealed_text
from lungline.storage.tables import read_rows, shortened, table_text


@dataclass(frozen=True)
class Note:
    """One thing that was found in a table.

    `file` is the table's name without its folder; `line` is None for what is missing; `code` is a `T_` code of
    `lungline.flags`; `what` holds no cell of the table, because an id may identify a patient.
    """

    file: str
    line: int | None
    code: str
    what: str


COLUMNS = tuple(field.name for field in fields(Note))


def read_notes(path: Path) -> list[Note]:
    """The notes that `write_notes` wrote; none if there is no such file."""
    if not path.is_file():
        return []
    return [
        Note(words["file"], int(words["line"]) if words["line"] else None, words["code"], words["what"])
        for _, words in read_rows(path, COLUMNS)
    ]


def write_notes(path: Path, notes: Iterable[Note]) -> None:
    """Write notes as a table, with its seal; a file that says the same already is not touched."""
    text = table_text(COLUMNS, map(astuple, notes))
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_sealed_text(path, text)


def replace_notes(path: Path, tables: Collection[str], notes: Iterable[Note]) -> None:
    """Write the notes on these tables in place of older ones on them; notes on other tables stay."""
    write_notes(path, [*(note for note in read_notes(path) if note.file not in tables), *notes])


def say(notes: Sequence[Note], path: Path) -> None:
    """Print the first notes on stderr, and where all of them stand."""
    if notes:
        lines = [f"{note.file}, line {note.line or '-'}: {note.code}, {note.what}" for note in notes]
        print("\n".join([f"{path}: {len(notes)} warnings.", *shortened(lines)]), file=sys.stderr)
