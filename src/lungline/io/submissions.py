"""Submissions in the formats of LUNA-16 (marks of a detector) and of the Data Science Bowl 2017 (answers)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from lungline.errors import LunglineError
from lungline.io.atomic import write_text
from lungline.io.tables import read_rows, table_text

MARK_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "probability")
ANSWER_COLUMNS = ("id", "cancer")

#: World (x, y, z) in mm, and the score.
Mark = tuple[float, float, float, float]


def read_marks(path: Path) -> dict[str, list[Mark]]:
    """The marks of a LUNA-16 submission by scan, in the order of the file.

    Raises
    ------
    LunglineError
        With the line number, for a number that is not finite or a mark that stands there twice.
    """
    marks: dict[str, dict[tuple[float, ...], Mark]] = {}
    for line, words in read_rows(Path(path), MARK_COLUMNS):
        try:
            x, y, z, score = (float(words[name]) for name in MARK_COLUMNS[1:])
        except ValueError as error:
            raise LunglineError(
                f"{path}, line {line}: expected numbers in {', '.join(MARK_COLUMNS[1:])}. {error}"
            ) from None
        if not all(map(math.isfinite, (x, y, z, score))):
            raise LunglineError(
                f"{path}, line {line}: expected finite numbers. Found ({x}, {y}, {z}), probability {score}. "
                "Mend the system that made them."
            )
        places = marks.setdefault(words["seriesuid"], {})
        if (x, y, z) in places:
            raise LunglineError(
                f"{path}, line {line}: scan '{words['seriesuid']}' has a mark at ({x}, {y}, {z}) already. Remove one."
            )
        places[x, y, z] = (x, y, z, score)
    return {scan: list(places.values()) for scan, places in marks.items()}


def write_marks(path: Path, marks: Mapping[str, Iterable[Mark]]) -> None:
    """Write a LUNA-16 submission: `seriesuid,coordX,coordY,coordZ,probability`, a row a mark."""
    rows = [(scan, *mark) for scan, some in marks.items() for mark in some]
    write_text(Path(path), table_text(MARK_COLUMNS, rows))


def read_ids(path: Path) -> list[str]:
    """The scans of a `seriesuids.csv`: one id a line, no header; `LunglineError` if one stands there twice."""
    ids: dict[str, int] = {}
    for line, text in enumerate(Path(path).read_text(encoding="utf-8-sig").splitlines(), start=1):
        word = text.strip().rstrip(",")
        if word in ids:
            raise LunglineError(f"{path}, line {line}: scan '{word}' stands there twice, first in line {ids[word]}.")
        if word:
            ids[word] = line
    if not ids:
        raise LunglineError(f"{path}: no scan. Expected the id of every searched scan, one a line.")
    return list(ids)


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """Write a `seriesuids.csv`."""
    write_text(Path(path), "".join(f"{scan}\n" for scan in ids))


def write_answers(path: Path, answers: Mapping[str, float]) -> None:
    """Write a submission of the Data Science Bowl 2017: `id,cancer`, a row a patient, probability 0..1."""
    write_text(Path(path), table_text(ANSWER_COLUMNS, answers.items()))
