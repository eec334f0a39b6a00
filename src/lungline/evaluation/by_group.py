"""Results by what a table says of the scans or nodules: attenuation, place, scanner, or any other column."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError
from lungline.evaluation.free_response import Froc, ScanMarks, froc, froc_intervals, strongest_in_nodules
from lungline.evaluation.intervals import wilson
from lungline.storage.submissions import MARK_COLUMNS
from lungline.storage.tables import decimal, read_rows

#: False positives per scan of the threshold at which a nodule counts as found.
AT = 1.0
#: What a cell without a word is called.
NOT_GIVEN = "not given"
_SCANS, _PLACES = ("scan", "seriesuid"), (MARK_COLUMNS[1:4], ("x_mm", "y_mm", "z_mm"))
_NO_GROUPS = {*_SCANS, *(name for names in _PLACES for name in names), "diameter_mm", "source"}
_MOST_VALUES = 20
_DIGITS = 3  # of mm, by which a row and a nodule are of one place

Place = tuple[str, float, float, float]


@dataclass(frozen=True)
class Groups:
    """What is said of each scan, or of each nodule by its scan and place in mm; columns with too many values are none.

    One of the two mappings is empty: a table with places is one of nodules.
    """

    columns: tuple[str, ...]
    of_scan: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    of_nodule: Mapping[Place, Mapping[str, str]] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def read_groups(path: Path) -> Groups:
    """The columns of a table by scan (`scan` or `seriesuid`), or by nodule where it has places, too.

    `LunglineError` if it has neither, no other column, or says two things of one scan.
    """
    names = _header(path)
    scan = next((name for name in _SCANS if name in names), None)
    place = next((one for one in _PLACES if set(one) <= set(names)), None)
    wanted = [name for name in names if name and name not in _NO_GROUPS]
    if scan is None or not wanted:
        raise LunglineError(
            f"{path}: expected a column scan (or seriesuid) and one to group by. Found {', '.join(names) or 'none'}."
        )
    rows = read_rows(path, (scan, *(place or ())), numbers=place or (), foreign=True)
    values = {name: {row[name] for _, row in rows} for name in wanted}
    columns = tuple(name for name in wanted if len(values[name]) <= _MOST_VALUES)
    left_out = tuple(name for name in wanted if name not in columns)
    told: dict[Any, dict[str, str]] = {}
    for line, row in rows:
        key = _key(row[scan], [decimal(row[name], name) for name in place]) if place else row[scan]
        said = {name: row[name] or NOT_GIVEN for name in columns}
        if told.setdefault(key, said) != said:
            raise LunglineError(f"{path}, line {line}: another value for a {'place' if place else 'scan'} of before.")
    return Groups(columns, {}, told, left_out) if place else Groups(columns, told, {}, left_out)


def _header(path: Path) -> list[str]:
    """The columns of a table, whichever they are."""
    for name in _SCANS:
        try:
            rows = read_rows(path, (name,), foreign=True)
        except LunglineError as error:
            reason = error
            continue
        return list(rows[0][1]) if rows else []
    raise reason


def _key(scan: str, point_xyz_mm: Sequence[float]) -> Place:
    x, y, z = (round(value, _DIGITS) + 0.0 for value in point_xyz_mm)
    return scan, x, y, z


def refuse_strangers(groups: Groups, marks: Mapping[str, ScanMarks]) -> None:
    """`LunglineError` where no row of a table is of any of these scans or their nodules."""
    if not any(said for said, _ in _nodules(marks, groups)) and not set(groups.of_scan) & set(marks):
        what = "nodule (scan, and place to a thousandth of a mm)" if groups.of_nodule else "scan"
        raise LunglineError(f"--by: no row is of a listed {what}. Take ids and places from the annotations.")


def describe_groups(marks: Mapping[str, ScanMarks], groups: Groups, *, seed: int = 0) -> dict[str, Any]:
    """By column and value, ready for JSON: the share of nodules that any mark found, and that one found above a score.

    That score is the one at which all scans together have at most `AT` false positives per scan. Where the table is of
    scans, also how many there are, their false positives per scan above that score, and their CPM. Intervals of shares
    are Wilson's; those of the CPM are by bootstrap over the scans.
    """
    result = froc(marks)
    threshold = result.score_at(AT)
    described: dict[str, Any] = {"score": threshold, "false_positives_per_scan": AT, "columns": {}}
    nodules = list(_nodules(marks, groups))
    scores = dict(zip(marks, result.per_scan, strict=True))
    for column in groups.columns:
        by_value = defaultdict[str, list[float | None]](list)
        for said, score in nodules:
            by_value[said.get(column, NOT_GIVEN)].append(score)
        if not groups.of_nodule:
            for scan in marks:
                _ = by_value[groups.of_scan.get(scan, {}).get(column, NOT_GIVEN)]
        table = {value: _found(found, threshold) for value, found in sorted(by_value.items())}
        if not groups.of_nodule:
            for value, row in table.items():
                own = [scan for scan in marks if groups.of_scan.get(scan, {}).get(column, NOT_GIVEN) == value]
                above = sum(int((scores[s].false_positives >= threshold).sum()) for s in own if threshold is not None)
                row |= {"scans": len(own), "false_positives_per_scan": above / len(own), **_cpm(own, marks, seed)}
        described["columns"][column] = table
    return described


def _nodules(marks: Mapping[str, ScanMarks], groups: Groups) -> Iterator[tuple[Mapping[str, str], float | None]]:
    """What is said of each nodule, and the score of its strongest mark."""
    for scan, one in marks.items():
        for nodule, score in zip(one.nodules, strongest_in_nodules(one), strict=True):
            key = _key(scan, nodule.centre_xyz_mm)
            yield (groups.of_nodule.get(key, {}) if groups.of_nodule else groups.of_scan.get(scan, {})), score


def _found(scores: Sequence[float | None], threshold: float | None) -> dict[str, Any]:
    n, found = len(scores), [score for score in scores if score is not None]
    above = 0 if threshold is None else sum(score >= threshold for score in found)
    return {
        "nodules": n,
        "recall": wilson(len(found), n).as_json(),
        "sensitivity": wilson(above, n).as_json(),
    }


def _cpm(scans: Sequence[str], marks: Mapping[str, ScanMarks], seed: int) -> dict[str, Any]:
    own = {scan: marks[scan] for scan in scans}
    if not any(one.nodules for one in own.values()):
        return {"cpm": None}
    result: Froc = froc(own)
    return {"cpm": froc_intervals(result, seed=seed).cpm.as_json()}
