"""Apply a table of rules to facts, of which some are unknown or known within limits: every answer that may be right.

A table is a list of rows; the first one whose conditions all hold gives the answer. A fact that a condition asks for,
and that is not known, is tried with each of its values; a number that is known within limits is cut where a condition
cuts it. So the answers are exactly those that some state of the unknown facts would give, and no others.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lungline.errors import LunglineError


@dataclass(frozen=True)
class Interval:
    """All numbers from `low` to `high`; an open end does not belong to it."""

    low: float
    high: float
    low_open: bool = False
    high_open: bool = False

    def __post_init__(self) -> None:
        empty = self.low > self.high or (self.low == self.high and (self.low_open or self.high_open))
        if math.isnan(self.low) or math.isnan(self.high) or empty:
            raise LunglineError(f"expected limits in ascending order. Found {self.low:g} to {self.high:g}.")

    @property
    def is_exact(self) -> bool:
        return self.low == self.high

    def cut(self, at: float, *, keep_left: bool) -> "tuple[Interval | None, Interval | None]":
        """The parts left and right of a number, None where there is none; the number lies left if `keep_left`."""
        if self.high < at or (self.high == at and (keep_left or self.high_open)):
            return self, None
        if self.low > at or (self.low == at and (not keep_left or self.low_open)):
            return None, self
        left = Interval(self.low, at, self.low_open, not keep_left)
        return left, Interval(at, self.high, keep_left, self.high_open)


#: What is known of a fact: its value, all values that it may have, limits of a number, or nothing.
Known = str | bool | tuple[Any, ...] | Interval | None
Facts = Mapping[str, Known]

ANY_NUMBER = Interval(-math.inf, math.inf)
#: bound -> whether the bound itself lies left of the cut, and whether the left part holds
_BOUNDS = {"below": (False, True), "from": (False, False), "to": (True, True), "above": (True, False)}


@dataclass(frozen=True)
class Row:
    """A row of a published table: an answer, or why there is none, where all its conditions hold."""

    when: Mapping[str, Any]  # fact -> value, list of values, or bounds (`from`, `to`, `above`, `below`) of a number
    answer: str | None  # None: the rules do not apply
    text: str  # what the row says
    seen_in: tuple[str, ...] = ()  # sources that say the same; none: it is unchecked


@dataclass(frozen=True)
class Outcome:
    """One answer, and the values of unknown facts under which it is given."""

    row: Row
    assumed: Mapping[str, Known] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A fact that must be known to go on, and all that it may be."""

    name: str
    values: tuple[Known, ...]


def outcomes(rows: Sequence[Row], facts: Facts, domains: Mapping[str, Sequence[Any]]) -> list[Outcome]:
    """Every outcome that the facts allow, in the order of the tree of questions.

    `domains` names the values of facts that are no numbers. `LunglineError` where no row fits some state of the facts.
    """
    return list(_walk(rows, 0, facts, domains, {}))


def _walk(
    rows: Sequence[Row], first: int, facts: Facts, domains: Mapping[str, Sequence[Any]], assumed: dict[str, Known]
) -> Iterator[Outcome]:
    for number in range(first, len(rows)):
        found = _holds(rows[number].when, facts, domains)
        if isinstance(found, Asked):
            for value in found.values:
                known = {found.name: value}
                yield from _walk(rows, number, {**facts, **known}, domains, {**assumed, **known})
            return
        if found:
            yield Outcome(rows[number], assumed)
            return
    raise LunglineError(f"no row of the table fits {dict(facts)}. Add one to the rules.")


def _holds(when: Mapping[str, Any], facts: Facts, domains: Mapping[str, Sequence[Any]]) -> bool | Asked:
    """Whether all conditions hold; the first fact that must be asked for, where that depends on it."""
    for name, wanted in when.items():
        known = facts.get(name)
        found = (
            _within(name, ANY_NUMBER if known is None else known, wanted)
            if isinstance(wanted, Mapping)
            else _is_one_of(name, known, wanted, domains)
        )
        if found is not True:
            return found
    return True


def _is_one_of(name: str, known: Known, wanted: Any, domains: Mapping[str, Sequence[Any]]) -> bool | Asked:
    options = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
    values = tuple(domains[name]) if known is None else known if isinstance(known, tuple) else (known,)
    fitting = [value for value in values if value in options]
    return bool(fitting) if len(fitting) in (0, len(values)) else Asked(name, values)


def _within(name: str, known: Any, bounds: Mapping[str, float]) -> bool | Asked:
    number = known if isinstance(known, Interval) else Interval(known, known)
    for bound, at in bounds.items():
        keep_left, left_holds = _BOUNDS[bound]
        parts = number.cut(at, keep_left=keep_left)
        if parts[0] is not None and parts[1] is not None:
            return Asked(name, parts)
        if (parts[0] is not None) != left_holds:
            return False
    return True


def answers_of(found: Sequence[Outcome]) -> list[str]:
    """The answers, each once, in order of their first outcome; those of rows that give none are left out."""
    return list(dict.fromkeys(one.row.answer for one in found if one.row.answer is not None))


def deciding_facts(found: Sequence[Outcome]) -> list[str]:
    """The unknown facts on whose value the answer depends: to know one would leave fewer answers."""
    names = dict.fromkeys(name for one in found for name in one.assumed)
    return [name for name in names if _decides(name, found)]


def _decides(name: str, found: Sequence[Outcome]) -> bool:
    by_value: dict[Known, set[str | None]] = {}
    for one in found:
        if name in one.assumed:
            by_value.setdefault(one.assumed[name], set()).add(one.row.answer)
    return len({frozenset(answers) for answers in by_value.values()}) > 1
