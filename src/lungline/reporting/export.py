"""Answers under the scans' own names, in the formats of DSB-17 and LUNA-16: what leaves the pipeline on request.

Nothing here knows a name; `lungline export` brings them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lungline.errors import LunglineError
from lungline.escape import cell
from lungline.io.predictions import COLUMNS, Prediction, prediction_words
from lungline.io.submissions import answers_text, marks_text, submitted
from lungline.io.tables import table_text
from lungline.nodules.candidates import Candidate

#: Data sets whose ids are pseudonyms already.
OWN_PSEUDONYMS = ("luna16", "dsb17")


def original_names(rows: Sequence[Prediction], known: Mapping[str, str]) -> dict[str, str]:
    """scan -> its own name, as a cell of a table; scans of LUNA-16 and DSB-17 keep their ids.

    Raises
    ------
    LunglineError
        If another scan has no name in `known`.
    """
    names = {row.scan: row.scan for row in rows if row.dataset in OWN_PSEUDONYMS}
    names |= {row.scan: cell(known[row.scan]) for row in rows if row.scan not in names and row.scan in known}
    if lost := len(rows) - len(names):
        raise LunglineError(f"{lost} of {len(rows)} scans stand in no map. Name the private folder of this run.")
    return names


def predictions_table(rows: Sequence[Prediction], names: Mapping[str, str]) -> str:
    """`predictions.csv` with the scan's own name in front, as `original`."""
    return table_text(("original", *COLUMNS), [(names[row.scan], *prediction_words(row)) for row in rows])


def cancer_submission(rows: Sequence[Prediction], names: Mapping[str, str]) -> str:
    """The submission of DSB-17 of rows that have a probability."""
    return answers_text((names[row.scan], row.probability) for row in rows if row.probability is not None)


def nodule_submission(candidates: Mapping[str, Sequence[Candidate]], names: Mapping[str, str]) -> str:
    """The submission of LUNA-16 of all candidates."""
    return marks_text(
        (names[scan], (*found.centroid_xyz_mm, submitted(found.score)))
        for scan, those in candidates.items()
        for found in those
    )
