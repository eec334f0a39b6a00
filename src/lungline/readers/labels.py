"""Labels of patients: tables `id,cancer`, and which scan each of their rows means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lungline.storage.tables import Faults, Note, read_rows

_LABEL = re.compile(r"([01])(\.0*)?\Z")  # 1.0 is how a column with gaps is written by other programs


@dataclass(frozen=True)
class Labels:
    """A table of labels: 0 or 1 and the line number of each id, and notes on rows that were left out."""

    path: Path
    of: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[Note] = ()


def read_labels(path: Path) -> Labels:
    """The table `id,cancer`; a row that says what an earlier one said is left out.

    `LunglineError` names every line that has no id, a label other than 0 or 1, or another label than an earlier row.
    """
    of: dict[str, int] = {}
    lines: dict[str, int] = {}
    notes: list[Note] = []
    faults = Faults(path)
    for line, words in read_rows(path, ("id", "cancer"), faults):
        name, label = words["id"], _LABEL.match(words["cancer"])
        if not name or not label:
            faults.add(line, "expected an id and cancer = 0 or 1.")
        elif name not in of:
            of[name], lines[name] = int(label[1]), line
        elif of[name] != int(label[1]):
            faults.add(line, f"the id of line {lines[name]} with another label. Remove the wrong one.")
        else:
            notes.append(Note(path.name, line, "T_ROW_TWICE", f"the same as line {lines[name]}; left out"))
    faults.refuse()
    return Labels(path, of, lines, notes)


def match_labels(table: Labels, names: Mapping[str, Sequence[str]]) -> tuple[dict[str, int], list[Note]]:
    """The label of each scan that has one, and notes: those of the table, and on every row that means no scan.

    `names` says what each scan may be called in the table, best first. `LunglineError` names every line that means
    several scans, or contradicts another row of the same scan: a label would be a guess.
    """
    faults = Faults(table.path)
    labels: dict[str, int] = {}
    taken: dict[str, str] = {}
    known: set[str] = set()
    for scan, its_names in names.items():
        rows = [name for name in dict.fromkeys(its_names) if name in table.of]
        known.update(rows)
        if not rows:
            continue
        labels[scan] = table.of[rows[0]]
        for other in rows[1:]:
            if table.of[other] != labels[scan]:
                faults.add(table.lines[other], f"another label than line {table.lines[rows[0]]}, for the same scan.")
        if taken.setdefault(rows[0], scan) != scan:
            faults.add(table.lines[rows[0]], "this id means several scans. Write the path below the folder instead.")
    faults.refuse()
    strangers = [
        Note(table.path.name, table.lines[name], "T_UNKNOWN_SCAN", "this id is no scan of the folder; not used")
        for name in table.of
        if name not in known
    ]
    return labels, [*table.notes, *strangers]


def without_label(table: Labels, scans: Sequence[str], labels: Mapping[str, int]) -> list[Note]:
    """A note for every scan that the table says nothing about."""
    return [
        Note(table.path.name, None, "T_NO_LABEL", f"no row for scan {scan}") for scan in scans if scan not in labels
    ]
