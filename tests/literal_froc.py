"""The rules of LUNA-16's evaluation script told again, step by step, as slow as it: the reference of tests.

In our own words (Setio et al., Medical Image Analysis 42, 2017, 1). Like the script, this walks through all marks once
for every scan.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Row = Sequence[str]  # seriesuid, x, y, z, diameter or probability, all as text


@dataclass
class Literal:
    """The corners of the curve, and the counts."""

    false_positives_per_scan: np.ndarray
    sensitivity: np.ndarray
    true_positives: int
    false_positives: int
    nodules: int
    marks: int
    on_excluded: int
    double: int


def literal_froc(
    scans: Sequence[str],
    nodules: Sequence[Row],
    excluded: Sequence[Row],
    marks: Sequence[Row],
    *,
    most: int = 100,
    gathered: bool = False,
) -> Literal:
    """The curve of a submission; `gathered` sorts the marks by scan first, which the script does not."""
    tables = [_by_scan(rows) for rows in (marks, nodules, excluded)] if gathered else None
    labels, scores, counts = [], [], defaultdict(int)
    for scan in scans:
        own, *rest = (
            [table[scan] for table in tables]
            if tables
            else [[row for row in rows if row[0] == scan] for rows in (marks, nodules, excluded)]
        )
        own = dict(enumerate(own))
        if len(own) > most:
            limit = sorted((float(row[4]) for row in own.values()), reverse=True)[most]
            own = {key: row for key, row in own.items() if float(row[4]) > limit}
        counts["marks"] += len(own)
        left = dict(own)
        annotated = [(row, number == 0) for number, rows in enumerate(rest) for row in rows]
        for row, counts_as_nodule in annotated:
            x, y, z, diameter = map(float, row[1:5])
            radius = (10.0 if diameter < 0 else diameter) / 2
            hits = []
            for key, mark in own.items():
                if (x - float(mark[1])) ** 2 + (y - float(mark[2])) ** 2 + (z - float(mark[3])) ** 2 < radius**2:
                    if counts_as_nodule:
                        hits.append(float(mark[4]))
                        left.pop(key, None)
                    elif key in left:
                        counts["on_excluded"] += 1
                        del left[key]
            if counts_as_nodule:
                counts["nodules"] += 1
                if hits:
                    labels.append(1.0)
                    scores.append(max(hits))
                    counts["double"] += len(hits) - 1
        for mark in left.values():
            labels.append(0.0)
            scores.append(float(mark[4]))
    found = int(sum(labels))
    corners = [(0.0, 0.0)]
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    hits = false = 0
    for place, i in enumerate(order):
        hits, false = hits + int(labels[i]), false + 1 - int(labels[i])
        if place + 1 == len(order) or scores[order[place + 1]] != scores[i]:
            corners.append((false / len(scans), hits / counts["nodules"]))
    return Literal(
        *np.array(corners).T,
        found,
        len(labels) - found,
        *(counts[n] for n in ("nodules", "marks", "on_excluded", "double")),
    )


def _by_scan(rows: Sequence[Row]) -> dict[str, list[Row]]:
    table = defaultdict(list)
    for row in rows:
        table[row[0]].append(row)
    return table
