"""Cases from the tests of public calculators: their inputs and their answers, as facts.

Where our answer differs, `ours` holds it and `rule` the text of the rule that decides; the sources stand in
`category_rules.yaml` and `risk_models.yaml` under the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nodule_cases import Nodule, ground_glass, part_solid, solid


@dataclass(frozen=True)
class Case:
    source: str
    nodule: Nodule
    theirs: str
    ours: str = ""
    rule: str = ""
    patient: tuple[tuple[str, Any], ...] = ()

    @property
    def expected(self) -> str:
        return self.ours or self.theirs


def axes(long: float, short: float, attenuation: str = "solid", **said: Any) -> Nodule:
    return Nodule(attenuation=attenuation, said={"long_mm": float(long), "short_mm": float(short), **said})


def two(long: float, short: float, solid_long: float, solid_short: float, **said: Any) -> Nodule:
    more = {"solid_long_mm": float(solid_long), "solid_short_mm": float(solid_short), **said}
    return axes(long, short, "part-solid", **more)


def after(months: float, category: str, change: str, mean: float = 7) -> Nodule:
    return solid(mean, change=change, prior_category=category, prior=[{"months_ago": months}])


def grown(now: float, before: float) -> Nodule:
    return Nodule(now, said={"prior": [{"months_ago": 12, "mean_mm": before}]})


def cyst(kind: str, **said: Any) -> Nodule:
    return solid(12, kind="cyst", cyst=kind, **said)


def airway(level: str, change: str) -> Nodule:
    return solid(9, kind="airway", airway_level=level, change=change)


OVAL = {"juxtapleural": True, "margin": "smooth", "shape": "oval"}
_MED = [
    (axes(10, 9, **OVAL), "2"),
    (axes(10, 9, **OVAL, change="new"), "2"),
    (axes(6, 5), "2"),
    (axes(4, 3, change="new"), "2"),
    (axes(6, 5, "part-solid"), "2"),
    (axes(30, 29, "ground-glass"), "2"),
    (axes(30, 29, "ground-glass", change="new"), "2"),
    (axes(30, 29, "ground-glass", change="growing"), "2"),
    (axes(30, 30, "ground-glass", change="slowly-growing"), "2"),
    (axes(30, 30, "ground-glass", change="stable"), "2"),
    (axes(31, 30, "ground-glass"), "3"),
    (axes(31, 30, "ground-glass", change="new"), "3"),
    *[(airway("subsegmental", change), "2") for change in ("baseline", "new", "stable")],
    (airway("segmental-or-central", "baseline"), "4A"),
    *[(airway("segmental-or-central", change), "4B") for change in ("growing", "stable")],
    (after(7, "3", "stable"), "2"),
    (after(4, "4A", "stable"), "3"),
    (axes(6, 6), "3"),
    (axes(9, 6), "3"),
    (axes(4, 4, change="new"), "3"),
    (axes(7, 4, change="new"), "3"),
    (two(6, 6, 6, 5), "3"),
    (two(9, 6, 7, 4), "3"),
    (axes(7, 4, "part-solid", change="new"), "3"),
    (axes(10, 9), "4A"),
    (axes(8, 7, change="growing"), "4A"),
    (axes(8, 7, change="new"), "4A"),
    (two(8, 7, 7, 6), "4A"),
    (two(8, 7, 4, 3, change="growing"), "4A"),
    (two(8, 7, 4, 3, change="new"), "4A"),
    (axes(16, 15), "4B"),
    (axes(9, 8, change="new"), "4B"),
    (axes(9, 8, change="growing"), "4B"),
    (two(10, 9, 9, 8), "4B"),
    (two(8, 7, 6, 5, change="growing"), "4B"),
    (two(8, 7, 6, 5, change="new"), "4B"),
    (solid(7, change="slowly-growing"), "4B"),
    (part_solid(9, 4, change="slowly-growing"), "4B"),
    (cyst("thick-walled", cyst_change="larger-cyst", change="growing"), "3"),
    (cyst("thick-walled"), "4A"),
    (cyst("multilocular"), "4A"),
    (cyst("multilocular", cyst_change="became-multilocular", change="stable"), "4A"),
    (cyst("multilocular", cyst_change="more-loculation-or-opacity", change="growing"), "4B"),
    (cyst("thick-walled", cyst_change="thicker-wall", change="growing"), "4B"),
    (cyst("multilocular", cyst_change="larger-cyst", change="growing"), "4B"),
    (axes(30, 25, suspicious=True), "4X"),
    (axes(35, 30, "ground-glass", suspicious=True), "4X"),
    (axes(12, 10, benign_pattern=True), "1"),
]
_LUNGNODULES = [
    (solid(4), "2"),
    (solid(7), "3"),
    (solid(10), "4A"),
    (solid(16), "4B"),
    (solid(5, change="new"), "3"),
    (grown(7, 4), "4A"),  # its test allows 4B as well
    (grown(10, 7), "4B"),
    (grown(12, 8), "4B"),
    (solid(7, margin="spiculated"), "4X"),
    (solid(3, change="new"), "2"),
    (part_solid(15, 7), "4A"),
    (part_solid(15, 9), "4B"),
    (part_solid(12, 4), "3"),
    (part_solid(5, 2, change="new"), "3"),
    (part_solid(15, 4, change="new"), "4B"),
    (Nodule(12, "part-solid", 3, said={"prior": [{"months_ago": 6, "mean_mm": 9}]}), "4A"),
    (ground_glass(25), "2"),
    (ground_glass(35), "3"),
    (ground_glass(35, change="slowly-growing"), "2"),
    (after(3, "4A", "decreased", 10), "3"),
    (after(12, "2", "stable", 4), "2"),
    (after(6, "4B", "stable", 16), "4B"),
]
LUNG_RADS = [
    *[Case("medreporter", *one) for one in _MED],
    *[Case("lungnodules", *one) for one in _LUNGNODULES],
    Case("suites", solid(8, juxtapleural=True, margin="lobulated"), "4A"),
    Case("suites", solid(9.9, **OVAL), "2"),
    Case("suites", solid(5, suspicious=True), "2"),
    Case("suites", solid(9, kind="airway", airway_level="segmental-or-central", secretions=True), "2"),
    Case("suites", Nodule(volume=268), "4A"),
    Case("medreporter", after(4, "3", "stable"), "2", "3", "category 3 at 6 months (an earlier version, 03758ef)"),
    Case("radulator", ground_glass(20, change="growing"), "3", "2", "below 30 mm at baseline, new, or growing"),
    Case("radulator", solid(6, change="new"), "3", "4A", "new 6 to below 8 mm"),
    Case("radulator", part_solid(15, 4, change="growing"), "4A", "4B", "a growing solid part of 4 mm or more"),
    Case("radulator", solid(12, **OVAL), "3", "4A", "juxtapleural: below 10 mm"),
    Case("radulator", solid(10, **OVAL), "3", "4A", "juxtapleural: below 10 mm"),
    Case("radulator", solid(12, benign_pattern=True), "2", "1", "complete, central, popcorn, rings, or fat"),
    Case("radulator", solid(8, **OVAL), "2"),
    Case("radulator", solid(12, change="growing"), "4B"),
    Case("radulator", part_solid(18, 7, change="growing"), "4B"),
    Case("radulator", part_solid(20, 6, suspicious=True), "4X"),
    Case("radulator", solid(10, margin="spiculated"), "4X"),
    Case("radulator", solid(50), "4B"),
]

NONE, YEAR = "no follow-up", "CT at 12 months is optional"
LOW, HIGH = "CT at 6-12 months, then consider 18-24", "CT at 6-12 months, then at 18-24"
MANY_LOW, MANY_HIGH = "CT at 3-6 months, then consider 18-24", "CT at 3-6 months, then at 18-24"
LARGE, GLASS = "consider CT at 3 months, PET/CT or tissue", "CT at 6-12 months, then every 2 years until 5 years"
PART, SOLID_PART = (
    "CT at 3-6 months, then every year for 5 years",
    "CT at 3-6 months; if it persists, highly suspicious",
)
FEW, MOST = "CT at 3-6 months, if stable consider 2 and 4 years", "CT at 3-6 months, then by the most suspicious"
_WHOLE = "rounded to the nearest whole millimetre: 5.5 is 6"
_THREE = "one of 6 to 8 mm: 6-12 months"
_R, _S = (("risk", "high"),), (("nodule_count", 3),)


def _of(source: str, *rows: tuple[Any, ...]) -> list[Case]:
    return [Case(source, *row[:2], *row[3:], patient=row[2]) for row in rows]


FLEISCHNER = [
    *_of(
        "medreporter",
        (axes(3, 2), NONE, ()),
        (axes(7, 6), MANY_LOW, (), LOW, _THREE),
        (axes(9, 8), LARGE, ()),
        (axes(3, 2), YEAR, _R),
        (axes(7, 6), MANY_HIGH, _R, HIGH, _THREE),
        (axes(10, 9), LARGE, _R),
        (axes(3, 2), NONE, _S),
        (axes(7, 6), MANY_LOW, _S),
        (axes(10, 9), MANY_LOW, _S),
        (axes(3, 2), YEAR, _S + _R),
        (axes(7, 6), MANY_HIGH, _S + _R),
        (axes(10, 9), MANY_HIGH, _S + _R),
        (axes(6, 5, "ground-glass"), NONE, (), GLASS, _WHOLE),
        (axes(7, 6, "ground-glass"), GLASS, ()),
        (axes(6, 5, "ground-glass"), FEW, _S, MOST, _WHOLE),
        (axes(7, 6, "ground-glass"), MOST, _S),
        (axes(7, 6, "part-solid"), MOST, _S + _R),
    ),
    *_of(
        "lungnodules",
        (solid(4), NONE, ()),
        (solid(5), YEAR, _R),
        (solid(7), LOW, ()),
        (solid(7), HIGH, _R),
        (solid(10), LARGE, _R),
        (ground_glass(4), NONE, ()),
        (ground_glass(8), GLASS, ()),
        (ground_glass(10), GLASS, _R),
        (part_solid(8, 4), PART, ()),
        (part_solid(10, 7), SOLID_PART, ()),
        (part_solid(12, 8), SOLID_PART, _R),
        (solid(8, **OVAL), NONE, ()),
        (ground_glass(4), FEW, _S + _R),
        (ground_glass(8), MOST, _S),
        (part_solid(8, 3), PART, _S, MOST, "several subsolid: by the most suspicious"),
        (part_solid(10, 7), SOLID_PART, _S, MOST, "several subsolid: by the most suspicious"),
        (solid(5.6), LOW, ()),
    ),
    *_of("elucenia", (solid(4), NONE, ()), (solid(5.6), HIGH, _R), (solid(7), MANY_LOW, _S), (solid(10), LARGE, ())),
    *_of(
        "stratjan",
        (solid(8), LOW, ()),
        (solid(9), LARGE, ()),
        (solid(15), LARGE, ()),
        (solid(30), LARGE, ()),
        (part_solid(5, None), NONE, ()),
        (part_solid(7, 5), PART, ()),
    ),
    *_of("radulator", (solid(8), MANY_HIGH, _S + _R), (part_solid(10, 4), PART, ()), (part_solid(12, None), MOST, _S)),
]

#: source, model, long axis mm, attenuation, what the reader says, patient, their probability as printed
_M = {"lobe": "upper", "margin": "smooth"}
_P = {"lobe": "upper", "margin": "spiculated"}
_PLAIN = {"lobe": "lower", "margin": "smooth"}
_AT_65 = {"age": 65.0, "smoking": "current", "cancer_history": "over_5_years"}
_AT_74 = {"age": 74.0, "smoking": "current", "sex": "male", "emphysema": True}
_AT_72 = {"age": 72.0, "smoking": "former", "cancer_history": "over_5_years"}
_WOMAN = {"age": 65.0, "sex": "female", "smoking": "former"}
RISKS = [
    ("lungnodules", "mayo", 16, "solid", _P, _AT_65, 0.8465),
    ("lungnodules", "mayo", 20, "solid", _PLAIN, {"age": 55.0, "smoking": "never"}, 0.11),  # of Swensen's table 3
    ("lungnodules", "mayo", 18, "solid", _P, _AT_72, 0.9035),
    ("lungnodules", "mayo", 10, "solid", _M, {"age": 60.0, "smoking": "current"}, 0.1636),
    ("lungnodules", "mayo", 7, "solid", _M, _AT_74, 0.187),
    ("lungnodules", "herder", 18, "solid", _P | {"pet": "intense"}, _AT_72, 0.9666),
    ("lungnodules", "herder", 7, "solid", _M | {"pet": "intense"}, _AT_74, 0.673),
    ("lungnodules", "brock_full", 15, "solid", _M, _WOMAN, 0.2537),
    ("lungnodules", "brock_full_without_spiculation", 15, "solid", _M, _WOMAN, 0.2974),
    (
        "lungnodules",
        "brock_full",
        10,
        "part-solid",
        _P,
        {"age": 70.0, "sex": "female", "family_history": True, "emphysema": True, "nodule_count": 3},
        0.4141,
    ),
]
