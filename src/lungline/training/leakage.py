"""One patient in two splits, or with two labels: found from the marks of the scans before anything is trained."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from lungline.privacy.identity import IDENTIFIERS, KINDS, Identity
from lungline.storage.manifest import ScanRow

_FEW = 10  # scans; in fewer, half of them may well be one patient's


@dataclass(frozen=True)
class Group:
    """Scans of one patient, or copies of one scan.

    Attributes
    ----------
    rows : tuple of ScanRow
        At least two.
    shared : tuple of str
        What they have in common, e.g. "patient id", "pixels"; not every pair need share all of it.
    """

    rows: tuple[ScanRow, ...]
    shared: tuple[str, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that they stand in, sorted."""
        return tuple(sorted({row.split for row in self.rows}))

    @property
    def is_leak(self) -> bool:
        """Whether they stand in more than one split, or have both labels."""
        return len(self.splits) > 1 or {0, 1} <= {row.label for row in self.rows}

    def __str__(self) -> str:
        scans = ", ".join(
            f"{row.scan} ({row.split}{'' if row.label is None else f', label {row.label}'})" for row in self.rows
        )
        return f"{scans}: same {', '.join(self.shared)}"


def find_groups(cases: Sequence[tuple[ScanRow, Identity]]) -> tuple[list[Group], list[str]]:
    """Which of these scans belong together.

    Parameters
    ----------
    cases : sequence of (ScanRow, Identity)
        Of scans that can be used: a quarantined one takes part in nothing.

    Returns
    -------
    groups : list of Group
        In the order of their first scan.
    placeholders : list of str
        Kinds of marks of which one value stands in more than half of the scans, and in at least ten: such a value
        names no patient, and was not compared.
    """
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (_, identity) in enumerate(cases):
        for kind in KINDS:
            for mark in identity.marks.get(kind, ()):
                holders[kind, mark].append(number)
    placeholders = set()
    leader = list(range(len(cases)))
    links: list[tuple[int, str]] = []
    for (kind, _), numbers in holders.items():
        if kind in IDENTIFIERS and len(numbers) >= _FEW and 2 * len(numbers) > len(cases):
            placeholders.add(KINDS[kind])
            continue
        for number in numbers[1:]:
            leader[_first(leader, number)] = _first(leader, numbers[0])
            links.append((number, KINDS[kind]))
    members: dict[int, list[int]] = defaultdict(list)
    shared: dict[int, set[str]] = defaultdict(set)
    for number in range(len(cases)):
        members[_first(leader, number)].append(number)
    for number, what in links:
        shared[_first(leader, number)].add(what)
    for words in shared.values():
        if KINDS["hu_sha256"] in words:  # goes without saying
            words.discard(KINDS["histogram_sha256"])
    groups = [
        Group(tuple(cases[number][0] for number in numbers), tuple(w for w in KINDS.values() if w in shared[first]))
        for first, numbers in members.items()
        if len(numbers) > 1
    ]
    return groups, sorted(placeholders)


def _first(leader: list[int], number: int) -> int:
    """The number that stands for the group of `number`."""
    while leader[number] != number:
        leader[number] = leader[leader[number]]
        number = leader[number]
    return number
