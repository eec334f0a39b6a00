"""The categories that a nodule may have by published size rules: Lung-RADS v2022, Fleischner 2017, BTS 2015.

Research use. The rules stand in `category_rules.yaml`, each system with its source. What is not known of a nodule or a
patient is not assumed: each answer that it allows is given, with what would have to be known to leave fewer.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lungline.nodules.category_facts import (
    NoduleSize,
    nodule_facts,
    patient_facts,
    rounded_interval,
    runs_of_change,
)
from lungline.nodules.patient import Patient, Reading
from lungline.nodules.risk_models import Risk, probability
from lungline.nodules.rule_evaluator import Interval, Known, Outcome, Row, answers_of, deciding_facts, outcomes
from lungline.nodules.sizes import rounded

#: What must stand beside every category.
WORDS = "by the published size rules; research use"
_MOST_LISTED = 4
_UNKNOWN = "not known: "
_HERE = Path(__file__).parent
_DIGITS = {"mean_one_decimal": 1, "mean_whole_mm": 0, "largest_one_decimal": 1}


@dataclass(frozen=True)
class CategorySet:
    """The categories of one nodule in one system."""

    system: str
    title: str
    categories: tuple[str, ...]  # all that may be right; none where the rules do not apply
    reasons: tuple[str, ...]  # what would have to be known to leave fewer
    rows: tuple[str, ...]  # the rows of the table behind them
    does_not_apply: tuple[str, ...]  # why, or under which condition, there is no category
    if_seen: tuple[str, ...]  # other categories, and what a reader would have to see for them
    other_measure: str  # what the other measure of size says, where it says something else
    unchecked: tuple[str, ...] = ()  # rows behind it that no second source confirms

    @property
    def text(self) -> str:
        """One line: "3 or 4A: mean 7.6 to 8.4 mm"."""
        limits = "; ".join(self.does_not_apply)
        if not self.categories:
            return f"does not apply: {limits}" + (" (unchecked, no second source)" if self.unchecked else "")
        measured = [reason for reason in self.reasons if not reason.startswith(_UNKNOWN)]
        asked = [reason.removeprefix(_UNKNOWN) for reason in self.reasons if reason.startswith(_UNKNOWN)]
        why = [
            *measured,
            *([_UNKNOWN + ", ".join(asked)] if asked else []),
            *([f"unless it does not apply ({limits})"] if limits else []),
            *self.if_seen,
            *([self.other_measure] if self.other_measure else []),
            *([f"unchecked, no second source: {', '.join(self.unchecked)}"] if self.unchecked else []),
        ]
        return joined(self.categories) + (f": {'; '.join(why)}" if why else "")


def joined(answers: Sequence[str]) -> str:
    """Answers as a sentence lists them: "2, 3 or 4A"; those of several words with a bar between, of many the ends."""
    if any(" " in answer for answer in answers):
        many = f"any of {len(answers)}, from {answers[0]} to {answers[-1]}"
        return many if len(answers) > _MOST_LISTED else " | ".join(answers)
    return " or ".join(filter(None, [", ".join(answers[:-1]), answers[-1]]))


@dataclass(frozen=True)
class System:
    """One published set of rules."""

    title: str
    source: str
    size: str
    volumes: Mapping[float, float]
    rows: tuple[Row, ...]
    afterwards: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    seen: Mapping[str, str] = field(default_factory=dict)  # sources that its rows were compared with, by short name
    differences: tuple[str, ...] = ()  # between them and the rows, and the rule that decides


@functools.cache
def read_systems() -> dict[str, System]:
    """The systems of the package's file of rules."""

    def rows(given: Sequence[Mapping[str, Any]]) -> tuple[Row, ...]:
        return tuple(Row(**{**one, "seen_in": tuple(one.get("seen_in", ()))}) for one in given)

    return {
        name: System(
            **{**one, "rows": rows(one["rows"]), "afterwards": rows(one.get("afterwards", ()))},
        )
        for name, one in _read("category_rules.yaml")["systems"].items()
    }


@functools.cache
def _read(name: str) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load((_HERE / name).read_text(encoding="utf-8"))
    return found


def risk_models() -> dict[str, Any]:
    """The models of the package's file, by name."""
    return _read("risk_models.yaml")


def risks(size: NoduleSize, reading: Reading, patient: Patient) -> dict[str, Risk]:
    """The probability of cancer by each published model, as far as the facts allow."""
    facts = {**patient_facts(patient), **nodule_facts(size, reading, patient)}
    found: dict[str, Risk] = {}
    for name, model in risk_models().items():
        mayo = found.get("mayo")
        found[name] = probability(model, {**facts, "mayo": mayo.probability if mayo else None})
    return found


def category_sets(size: NoduleSize, reading: Reading, patient: Patient) -> list[CategorySet]:
    """The categories of a nodule in every system."""
    return [categories(name, size, reading, patient) for name in read_systems()]


def categories(name: str, size: NoduleSize, reading: Reading, patient: Patient) -> CategorySet:
    """The categories of a nodule in the system with this name."""
    system = read_systems()[name]
    by_volume_first = system.size.startswith("largest")
    diameter = size.long_mm if by_volume_first else size.mean_mm
    by_volume = size.volume_mm3 is not None and (by_volume_first or diameter is None)
    found = _Case(system, size, reading, patient, by_volume).solve()
    other = ""
    if size.volume_mm3 is not None and diameter is not None:
        case = _Case(system, size, reading, patient, not by_volume)
        if (answers := case.solve().answers) != found.answers and answers:
            other = f"{joined(answers)} by {case.measure}"
    return CategorySet(
        name,
        system.title,
        found.answers,
        tuple(found.reasons),
        tuple(dict.fromkeys(one.row.text for one in found.all if one.row.answer is not None)),
        tuple(_limits(found.all)),
        tuple(_if_seen(system, size, reading, patient, by_volume, found.answers)),
        other,
        tuple(_unchecked(found)),
    )


def _unchecked(found: "_Solved") -> list[str]:
    """The rows behind the answers (or behind there being none) that no second source confirms."""
    rows = [one.row for one in found.all if not one.row.seen_in and (one.row.answer is not None or not found.answers)]
    return list(dict.fromkeys(row.text for row in rows))


def most_severe(found: Sequence[Sequence[str]]) -> list[str]:
    """All that the gravest category of several nodules may be, from those that each may have.

    Nodules without a category are left out.
    """
    sets = [sorted(one) for one in found if one]
    floor = max((one[0] for one in sets), default="")
    return sorted({category for one in sets for category in one if category >= floor})


@dataclass(frozen=True)
class _Solved:
    all: list[Outcome]
    answers: tuple[str, ...]
    reasons: list[str]


@dataclass(frozen=True)
class _Case:
    """A nodule before one system, by diameter or by volume."""

    system: System
    size: NoduleSize
    reading: Reading
    patient: Patient
    by_volume: bool
    seen: tuple[tuple[str, Known], ...] = ()  # facts that a reader might see instead

    def solve(self) -> _Solved:
        everything: list[Outcome] = []
        names: dict[str, None] = {}
        for part, change in runs_of_change(self.size, self.reading, self.patient):
            facts = self._facts(part, change)
            found = self._outcomes(facts)
            names |= dict.fromkeys(deciding_facts(found))
            if everything and set(answers_of(found)) != set(answers_of(everything)):
                names["size"] = None
            everything += found
        answers = _in_order(self.system, answers_of(everything))
        facts = self._facts(self.size.mean_mm, None)
        return _Solved(everything, answers, [self._reason(name, facts) for name in names])

    def _outcomes(self, facts: Mapping[str, Known]) -> list[Outcome]:
        domains = {name: fact.get("values", ()) for name, fact in _read("category_rules.yaml")["facts"].items()}
        rows = tuple(self._in_measure(row) for row in self.system.rows)
        found = outcomes(rows, facts, domains)
        if not self.system.afterwards:
            return found
        final = []
        for one in found:
            more = {**facts, **one.assumed, "category": one.row.answer or ""}
            later = outcomes((*self.system.afterwards, replace(one.row, when={})), more, domains)
            final += [Outcome(last.row, {**one.assumed, **last.assumed}) for last in later]
        return final

    def _in_measure(self, row: Row) -> Row:
        """The row with its sizes as volumes, where the size is a volume."""
        if not self.by_volume or "size" not in row.when:
            return row
        bounds = {bound: self.system.volumes[at] for bound, at in row.when["size"].items()}
        return replace(row, when={**row.when, "size": bounds})

    def _facts(self, part: Interval | None, change: Known) -> dict[str, Known]:
        known = {**patient_facts(self.patient), **nodule_facts(self.size, self.reading, self.patient)}
        for name, fact in _read("category_rules.yaml")["facts"].items():
            if "unstated" in fact and known.get(name) is None:
                known[name] = fact["unstated"]
        digits = _DIGITS[self.system.size]
        size = rounded_interval(self.size.volume_mm3, 0) if self.by_volume else rounded_interval(part, digits)
        if not self.by_volume and self.system.size.startswith("largest"):
            size = rounded_interval(self.size.long_mm, digits)
        most = size.high if size is not None and not self.by_volume else 1e3
        solid = rounded_interval(self.size.solid_mm, digits) or Interval(0, most)
        risk = risks(self.size, self.reading, self.patient)
        models = {"brock": risk["brock_full"].probability, "herder": risk["herder"].probability}
        chances = {name: chance or Interval(0, 1) for name, chance in models.items()}
        return {**known, "size": size, "solid_size": solid, "change": change, **chances, **dict(self.seen)}

    @property
    def measure(self) -> str:
        """The size in words: "mean 7.6 to 8.4 mm"."""
        size = self._facts(self.size.mean_mm, None)["size"]
        word = "volume" if self.by_volume else "largest" if self.system.size.startswith("largest") else "mean"
        return f"{word} {_range(size)} {'mm3' if self.by_volume else 'mm'}"

    def _reason(self, name: str, facts: Mapping[str, Known]) -> str:
        """What is not known of a fact."""
        known, ask = facts.get(name), _read("category_rules.yaml")["facts"][name]["ask"]
        if name == "size" and known is not None:
            return self.measure
        if name == "solid_size" and self.size.solid_mm is not None:
            return f"solid part {_range(known)} mm"
        if name in ("brock", "herder"):
            return _risk_reason(name, risks(self.size, self.reading, self.patient))
        if isinstance(known, Interval) and name != "solid_size":
            return f"{ask}: {_range(known)}"
        return _UNKNOWN + str(ask)


def _risk_reason(name: str, found: Mapping[str, Risk]) -> str:
    """Between which limits a risk lies, and what would narrow it."""
    models = ("brock_full",) if name == "brock" else ("mayo", "herder")
    risk = found[models[-1]]
    unknown = ", ".join(fact.replace("_", " ") for model in models for fact in found[model].unknown if fact != "mayo")
    if risk.probability is None:
        return _UNKNOWN + f"the {name.capitalize()} risk ({unknown or risk.reason})"
    low, high = 100 * risk.probability.low, 100 * risk.probability.high
    return f"{name.capitalize()} risk {low:.1f} to {high:.1f} % ({unknown or 'its size'} not known)"


def _range(known: Known) -> str:
    if not isinstance(known, Interval):
        return "unknown"
    low, high = rounded(known.low, 1), rounded(known.high, 1)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _limits(found: Sequence[Outcome]) -> list[str]:
    """Why the rules do not apply; of what is certain alone, where that is enough."""
    refused = [one for one in found if one.row.answer is None]
    if len(refused) == len(found):
        refused = [one for one in refused if not set(one.row.when) & set(one.assumed)] or refused
    return list(dict.fromkeys(one.row.text for one in refused))


def _in_order(system: System, answers: Sequence[str]) -> tuple[str, ...]:
    """Answers from the mildest to the gravest: of categories by their name, else as the table lists them."""
    if all(len(answer) <= 2 for answer in answers):
        return tuple(sorted(answers))
    listed = list(dict.fromkeys(row.answer for row in system.rows))
    return tuple(sorted(answers, key=listed.index))


def _if_seen(
    system: System, size: NoduleSize, reading: Reading, patient: Patient, by_volume: bool, answers: Sequence[str]
) -> list[str]:
    """Other answers, and what a reader would have to see for them, of facts that nobody has stated."""
    stated = nodule_facts(size, reading, patient)
    found = []
    for name, fact in _read("category_rules.yaml")["facts"].items():
        if "if" not in fact or stated.get(name) is not None:
            continue
        case = _Case(system, size, reading, patient, by_volume, ((name, True),))
        other = [answer for answer in case.solve().answers if answer not in answers]
        if other:
            found.append(f"{joined(other)} if {fact['if']}")
    return found
