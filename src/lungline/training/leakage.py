"""One patient in two splits, or with two labels: found by fingerprints of the scans before anything is trained."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from lungline.privacy.identity import IDENTIFIERS, KINDS, Identity
from lungline.storage.scan_rows import ScanRow

_FEW = 10  # scans; in fewer, half of them may well be one patient's


@dataclass(frozen=True)
class Group:
    """Two or more scans of one patient, or copies of one scan.

    `shared` is what they have in common, e.g. "patient id", "pixels"; not every pair need share all of it.
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
    """Which of these scans, all of which can be used, belong together: groups in the order of their first scan.

    Also the placeholders: kinds of fingerprints of which one value stands in more than half of the scans, and in at
    least ten. Such a value names no patient, and was not compared.
    """
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for number, (_, identity) in enumerate(cases):
        for kind in KINDS:
            for fingerprint in identity.fingerprints.get(kind, ()):
                holders[kind, fingerprint].append(number)
    links: list[tuple[int, int, str]] = []
    placeholders = set()
    for (kind, _), numbers in holders.items():
        if kind in IDENTIFIERS and len(numbers) >= _FEW and 2 * len(numbers) > len(cases):
            placeholders.add(KINDS[kind])
        else:
            links += [(numbers[0], number, KINDS[kind]) for number in numbers[1:]]
    first, second = ([link[end] for link in links] for end in (0, 1))
    graph = coo_array((np.ones(len(links)), (first, second)), shape=(len(cases), len(cases)))
    count, group_of = connected_components(graph, directed=False)
    rows: list[list[ScanRow]] = [[] for _ in range(count)]
    shared: list[set[str]] = [set() for _ in range(count)]
    for (row, _), group in zip(cases, group_of, strict=True):
        rows[group].append(row)
    for number, _, what in links:
        shared[group_of[number]].add(what)
    for words in shared:
        if KINDS["hu_sha256"] in words:  # goes without saying
            words.discard(KINDS["histogram_sha256"])
    groups = [
        Group(tuple(own), tuple(what for what in KINDS.values() if what in words))
        for own, words in zip(rows, shared, strict=True)
        if len(own) > 1
    ]
    return groups, sorted(placeholders)
