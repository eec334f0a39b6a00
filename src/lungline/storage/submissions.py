"""Submissions in the formats of LUNA-16 (marks of a detector) and of the Data Science Bowl 2017 (answers)."""

import math
from collections.abc import Iterable
from pathlib import Path

from lungline.errors import LunglineError
from lungline.storage.checksums import check
from lungline.storage.tables import read_rows, table_text

MARK_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "probability")
ANSWER_COLUMNS = ("id", "cancer")

#: World (x, y, z) in mm, and the score.
Mark = tuple[float, float, float, float]


def read_marks(path: Path) -> dict[str, list[Mark]]:
    """The marks of a LUNA-16 submission by scan, in the order of the file.

    `LunglineError` with the line number for a number that is not finite or a mark that stands there twice.
    """
    marks: dict[str, dict[tuple[float, ...], Mark]] = {}
    for line, cells in read_rows(Path(path), MARK_COLUMNS):
        where, scan = f"{path}, line {line}", cells["seriesuid"]
        try:
            x, y, z, score = (float(cells[name]) for name in MARK_COLUMNS[1:])
        except ValueError as error:
            raise LunglineError(f"{where}: expected numbers in {', '.join(MARK_COLUMNS[1:])}. {error}") from None
        if not all(map(math.isfinite, (x, y, z, score))):
            found = f"({x}, {y}, {z}), probability {score}"
            raise LunglineError(f"{where}: expected finite numbers. Found {found}. Mend the detector that made them.")
        places = marks.setdefault(scan, {})
        if (x, y, z) in places:
            raise LunglineError(f"{where}: scan '{scan}' has a mark at ({x}, {y}, {z}) already. Remove one.")
        places[x, y, z] = (x, y, z, score)
    return {scan: list(places.values()) for scan, places in marks.items()}


def submitted(score: float) -> float:
    """The probability s / (1 + s) of a candidate's score s >= 0: the same order, never saturated."""
    return score / (1 + score)


def marks_text(marks: Iterable[tuple[str, Mark]]) -> str:
    """A LUNA-16 submission: `seriesuid,coordX,coordY,coordZ,probability`, a row per mark."""
    return table_text(MARK_COLUMNS, ((scan, *mark) for scan, mark in marks))


def read_ids(path: Path) -> list[str]:
    """The scans of a `seriesuids.csv`: one id a line, no header; `LunglineError` if one stands there twice."""
    check(path)
    ids: dict[str, int] = {}
    for line, text in enumerate(Path(path).read_text(encoding="utf-8-sig").splitlines(), start=1):
        word = text.strip().rstrip(",")
        if word in ids:
            raise LunglineError(f"{path}, line {line}: scan '{word}' stands there twice, first in line {ids[word]}.")
        if word:
            ids[word] = line
    if not ids:
        raise LunglineError(f"{path}: no scan. Expected the id of every searched scan, one per line.")
    return list(ids)


def ids_text(ids: Iterable[str]) -> str:
    """A `seriesuids.csv`."""
    return "".join(f"{scan}\n" for scan in ids)


def answers_text(answers: Iterable[tuple[str, float]]) -> str:
    """A submission of the Data Science Bowl 2017: `id,cancer`, a row per patient, probability 0..1."""
    return table_text(ANSWER_COLUMNS, answers)
