"""Answers under the scans' own names, in the formats of DSB-17 and LUNA-16: what leaves the pipeline on request.

Nothing here knows a name; `lungline export` brings them.
"""

from collections.abc import Mapping, Sequence

from lungline.detection.candidates import Candidate
from lungline.errors import LunglineError
from lungline.escape import cell
from lungline.nodules.table import COLUMNS as NODULE_COLUMNS
from lungline.nodules.table import NoduleRow, format_rows
from lungline.readers.series_uids import SeriesOfScan
from lungline.storage.predictions import COLUMNS, Prediction, format_prediction
from lungline.storage.submissions import answers_text, marks_text, submitted
from lungline.storage.tables import table_text

#: Data sets whose ids are pseudonyms already.
OWN_PSEUDONYMS = ("luna16", "dsb17")
SERIES_UID = "SeriesInstanceUID"


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
    return table_text(("original", *COLUMNS), [(names[row.scan], *format_prediction(row)) for row in rows])


def series_table(wanted: Sequence[str], found: Mapping[str, SeriesOfScan], rows: Sequence[Prediction]) -> str:
    """`predictions.csv` by DICOM series: a row for each of these series, or several if it lies in several places.

    `found` holds the series of each scan. The status is "missing" of a series in none, "not-chosen" of one that lies
    beside the one that was read.
    """
    status = COLUMNS.index("status")

    def empty(word: str) -> list[str]:
        return [word if k == status else "" for k in range(len(COLUMNS))]

    read: dict[str, list[Prediction]] = {}
    for row in rows:
        if row.scan in found:
            read.setdefault(found[row.scan].read, []).append(row)
    beside = {uid for one in found.values() for uid in one.beside}
    table: list[tuple[object, ...]] = []
    for uid in wanted:
        if uid in read:
            table += [(uid, *format_prediction(row)) for row in read[uid]]
        else:
            table.append((uid, *empty("not-chosen" if uid in beside else "missing")))
    return table_text((SERIES_UID, *COLUMNS), table)


def cancer_submission(rows: Sequence[Prediction], names: Mapping[str, str]) -> str:
    """The submission of DSB-17 of rows that have a probability."""
    return answers_text((names[row.scan], row.score) for row in rows if row.score is not None)


def nodule_table(
    nodules: Mapping[str, Sequence[NoduleRow]],
    slices: Mapping[str, Sequence[tuple[str, int]]],
    names: Mapping[str, str],
) -> str:
    """The nodule tables of all scans in one, with the scan's own name and the source slice of each candidate.

    `slices` holds SOPInstanceUID and frame of each candidate, of the scans that have some.
    """
    rows = []
    for scan, those in nodules.items():
        known: Sequence[tuple[object, object]] = slices.get(scan) or [("", "")] * len(those)
        rows += [(names[scan], *cells, *place) for cells, place in zip(format_rows(scan, those), known, strict=True)]
    return table_text(("original", *NODULE_COLUMNS, "sop_instance_uid", "frame"), rows)


def nodule_submission(candidates: Mapping[str, Sequence[Candidate]], names: Mapping[str, str]) -> str:
    """The submission of LUNA-16 of all candidates."""
    return marks_text(
        (names[scan], (*found.centroid_xyz_mm, submitted(found.score)))
        for scan, those in candidates.items()
        for found in those
    )
