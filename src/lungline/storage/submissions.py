"""Submissions in the formats of LUNA-16 (marks of a detector) and of the Data Science Bowl 2017 (answers)."""

import csv
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from lungline.errors import LunglineError
from lungline.storage.checksums import check
from lungline.storage.spreadsheets import bare, cells, without_declaration
from lungline.storage.tables import Faults, decimal, read_rows, table_text, table_text_of

MARK_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "probability")
ANSWER_COLUMNS = ("id", "cancer")

#: What the column of ids may be called in a list of scans, letters alone; the first that is there counts.
_NAMES_OF_IDS = (
    "seriesuid", "seriesuids", "seriesinstanceuid", "seriesinstanceuids", "series", "scan", "scans", "scanid", "id",
    "ids", "uid", "patient", "patientid", "case", "caseid", "filename", "name",
)  # fmt: skip

_PLAIN_ID, _PLAIN_WORD = "[A-Za-z0-9._-]+", "[A-Za-z0-9._+-]*"
_PLAIN_NUMBER = "[+-]?(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:[eE][+-]?[0-9]+)?"
_PLAIN_BLOCK, _MOST_PLAIN_BYTES = 1 << 22, 1 << 28

#: World (x, y, z) in mm, and the score.
Mark = tuple[float, float, float, float]


def read_marks(path: Path) -> dict[str, list[Mark]]:
    """The marks of a LUNA-16 submission by scan, in the order of the file.

    `LunglineError` with every line that has a number that is not finite, or a mark that stands there twice.
    """
    if (plain := _plain_marks(Path(path))) is not None:
        return plain
    marks: dict[str, dict[tuple[float, ...], Mark]] = {}
    faults = Faults(Path(path))
    for line, row in read_rows(Path(path), MARK_COLUMNS, faults, numbers=MARK_COLUMNS[1:], foreign=True):
        try:
            x, y, z, score = (decimal(row[name], name) for name in MARK_COLUMNS[1:])
        except LunglineError as error:
            faults.add(line, f"{error} Mend the detector that made the marks.")
            continue
        places = marks.setdefault(row["seriesuid"], {})
        if (x, y, z) in places:
            faults.add(line, f"this scan has a mark at ({x}, {y}, {z}) already. Remove one.")
        places[x, y, z] = (x, y, z, score)
    faults.refuse()
    return {scan: list(places.values()) for scan, places in marks.items()}


def _plain_marks(path: Path) -> dict[str, list[Mark]] | None:
    """As `read_marks`, ten times as fast, of a file that is as plain as programs write it; None of any other.

    Plain is: commas, no quotes, no blanks, letters of ASCII, every number with a decimal point, no mark twice. What is
    wrong in a file is found and named by `read_marks`.
    """
    marks = defaultdict[str, list[Mark]](list)
    if path.stat().st_size > _MOST_PLAIN_BYTES:
        return None
    check(path)
    try:
        with open(path, encoding="ascii") as file:
            names = file.readline().rstrip("\n").split(",")
            if any(names.count(name) != 1 for name in MARK_COLUMNS):
                return None
            kinds = {"seriesuid": _PLAIN_ID, **dict.fromkeys(MARK_COLUMNS[1:], _PLAIN_NUMBER)}
            row = re.compile(f"(?:{','.join(kinds.get(name, _PLAIN_WORD) for name in names)}\n)*")
            while lines := file.readlines(_PLAIN_BLOCK):
                text = "".join(lines)
                text += "\n" * (not text.endswith("\n"))
                if not row.fullmatch(text):
                    return None
                cells = text[:-1].replace("\n", ",").split(",")
                x, y, z, score = (list(map(float, cells[names.index(name) :: len(names)])) for name in MARK_COLUMNS[1:])
                if not all(map(math.isfinite, (*x, *y, *z, *score))):
                    return None
                for scan, *mark in zip(cells[names.index("seriesuid") :: len(names)], x, y, z, score, strict=True):
                    marks[scan].append((mark[0], mark[1], mark[2], mark[3]))
    except UnicodeDecodeError:
        return None
    twice = any(len({mark[:3] for mark in some}) < len(some) for some in marks.values())
    return None if twice else dict(marks)


def submitted(score: float) -> float:
    """The probability s / (1 + s) of a candidate's score s >= 0: the same order, never saturated."""
    return score / (1 + score)


def marks_text(marks: Iterable[tuple[str, Mark]]) -> str:
    """A LUNA-16 submission: `seriesuid,coordX,coordY,coordZ,probability`, a row per mark."""
    return table_text(MARK_COLUMNS, ((scan, *mark) for scan, mark in marks))


def read_ids(path: Path) -> list[str]:
    """The scans of a `seriesuids.csv`: one id a line, with or without a header, which is no scan.

    `LunglineError` with every line that holds several ids, or one that stands there twice.
    """
    path = Path(path)
    check(path)
    text, marks = without_declaration(table_text_of(path))
    try:
        mark = next((mark for mark in marks if any(len(words) > 1 for _, words in cells(text, mark))), marks[0])
        rows = [(line, [bare(word) for word in words]) for line, words in cells(text, mark)]
    except csv.Error as error:
        raise LunglineError(f"{path}: expected one id a line. Found quotes that do not match ({error}).") from None
    column = _column_of_ids(rows)
    faults = Faults(path)
    ids: dict[str, int] = {}
    for line, words in rows if column is None else rows[1:]:
        found = list(filter(None, words)) if column is None else [words[column] if column < len(words) else ""]
        if len(found) > 1 or not found[0]:
            faults.add(line, f"expected one id. Found {len(found) if found[0] else 'none'}.")
        elif found[0] in ids:
            faults.add(line, f"this scan stands there twice, first in line {ids[found[0]]}.")
        ids.setdefault(found[0], line)
    faults.refuse()
    if not ids:
        raise LunglineError(f"{path}: no scan. Expected the id of every searched scan, one per line.")
    return list(ids)


def _column_of_ids(rows: Sequence[tuple[int, list[str]]]) -> int | None:
    """The column of the ids, if the first row is a header: it names one, or has no digit where all others have."""
    first = [re.sub(r"[^a-z]", "", word.lower()) for word in rows[0][1]] if rows else []
    for name in _NAMES_OF_IDS:
        if name in first:
            return first.index(name)
    if len(rows) > 1 and len(first) == 1 and not re.search(r"\d", rows[0][1][0]):
        return 0 if all(re.search(r"\d", words[0]) for _, words in rows[1:]) else None
    return None


def ids_text(ids: Iterable[str]) -> str:
    """A `seriesuids.csv`."""
    return "".join(f"{scan}\n" for scan in ids)


def answers_text(answers: Iterable[tuple[str, float]]) -> str:
    """A submission of the Data Science Bowl 2017: `id,cancer`, a row per patient, probability 0..1."""
    return table_text(ANSWER_COLUMNS, answers)
