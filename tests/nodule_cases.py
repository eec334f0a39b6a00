"""Nodules before the published rules: rows of the tables and cases, as data for the tests of categories."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lungline.nodules.category_facts import NoduleSize, interval, size_by_reader, within
from lungline.nodules.category_sets import CategorySet, categories
from lungline.nodules.patient import Patient, Reading
from lungline.nodules.rule_evaluator import Interval

SCREENING = {"purpose": "screening", "first_scan": True}
FOUND_BY_CHANCE = {
    "purpose": "incidental",
    "first_scan": True,
    "age": 60,
    "cancer_history": "none",
    "immunosuppressed": False,
    "risk": "low",
    "nodule_count": 1,
}
WHOLE = {"sex": "male", "family_history": False, "emphysema": False, "smoking": "former"}


@dataclass(frozen=True)
class Nodule:
    """A nodule; diameters in mm, a volume in mm3. `said` is what a reader says of it."""

    mean: float | None = None
    attenuation: str | None = "solid"
    solid: float | None = None
    long: float | None = None
    volume: float | None = None
    error: float = 0.0
    calcified: float = 0.0
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> NoduleSize:
        return NoduleSize(
            interval(self.mean, within(self.error)),
            interval(self.long if self.mean is None else self.long or self.mean, within(self.error)),
            None if self.volume is None else Interval(self.volume, self.volume),
            interval(self.solid, within(self.error)),
            self.attenuation,
            self.calcified,
        )


def solve(system: str, nodule: Nodule, patient: dict[str, Any]) -> CategorySet:
    reading = Reading(**nodule.said)
    if reading.prior or reading.change:  # not a first scan, after all
        patient = patient | {"first_scan": None}
    return categories(system, size_by_reader(nodule.size, reading, within(nodule.error)), reading, Patient(**patient))


def solid(mean: float, **said: Any) -> Nodule:
    return Nodule(mean, said=said)


def part_solid(mean: float, solid_part: float | None, **said: Any) -> Nodule:
    return Nodule(mean, "part-solid", solid_part, said=said)


def ground_glass(mean: float, **said: Any) -> Nodule:
    return Nodule(mean, "ground-glass", said=said)


#: Row of Lung-RADS v2022 (ACR, November 2022; Christensen et al., Chest 165, 2024, 738) -> nodules, and their category.
LUNG_RADS: dict[str, list[tuple[Nodule, str]]] = {
    "1 benign pattern": [(solid(20, benign_pattern=True), "1")],
    "2 juxtapleural below 10 mm": [
        (solid(9.9, juxtapleural=True, margin="smooth", shape=shape), "2")
        for shape in ("oval", "lentiform", "triangular")
    ]
    + [
        (solid(9.9, change="new", juxtapleural=True, margin="smooth", shape="oval"), "2"),
        (solid(10.0, juxtapleural=True, margin="smooth", shape="oval"), "4A"),
        (solid(9.9, juxtapleural=True, margin="smooth", shape="round"), "4A"),
        (solid(9.9, juxtapleural=True, margin="lobulated", shape="oval"), "4A"),
        (solid(9.9, change="growing", juxtapleural=True, margin="smooth", shape="oval"), "4B"),
        (Nodule(9.9, "part-solid", 3, said={"juxtapleural": True, "margin": "smooth", "shape": "oval"}), "3"),
    ],
    "2 solid": [(solid(5.9), "2"), (solid(3.9, change="new"), "2")],
    "2 part-solid": [(part_solid(5.9, 2), "2")],
    "2 ground glass below 30 mm": [
        (ground_glass(29.9), "2"),
        (ground_glass(29.9, change="new"), "2"),
        (ground_glass(29.9, change="growing"), "2"),
    ],
    "2 ground glass of 30 mm or more": [
        (ground_glass(30, change="stable"), "2"),
        (ground_glass(30, change="slowly-growing"), "2"),
    ],
    "2 airway, subsegmental": [
        (solid(9, kind="airway", airway_level="subsegmental", change=change), "2")
        for change in ("baseline", "new", "stable")
    ],
    "2 airway, secretions": [
        (solid(9, kind="airway", airway_level="segmental-or-central", change="stable", secretions=True), "2")
    ],
    "2 category 3, unchanged at 6 months": [
        (solid(7, change=change, prior_category="3", prior=[{"months_ago": 6}]), "2")
        for change in ("stable", "decreased")
    ],
    "2 proved benign": [(solid(16, change="stable", prior_category="4B", proven_benign=True), "2")],
    "3 solid": [
        (solid(6.0), "3"),
        (solid(7.9), "3"),
        (solid(4.0, change="new"), "3"),
        (solid(5.9, change="new"), "3"),
    ],
    "3 part-solid": [(part_solid(6.0, 5.9), "3"), (part_solid(20, 5.9), "3"), (part_solid(5.9, 3, change="new"), "3")],
    "3 ground glass": [(ground_glass(30), "3"), (ground_glass(30, change="new"), "3")],
    "3 cyst": [(solid(12, kind="cyst", cyst="thick-walled", cyst_change="larger-cyst", change="growing"), "3")],
    "3 category 4A, unchanged at 3 months": [
        (solid(9, change=change, prior_category="4A", prior=[{"months_ago": 3}]), "3")
        for change in ("stable", "decreased")
    ],
    "4A solid": [
        (solid(8.0), "4A"),
        (solid(14.9), "4A"),
        (solid(7.9, change="growing"), "4A"),
        (solid(6.0, change="new"), "4A"),
        (solid(7.9, change="new"), "4A"),
    ],
    "4A part-solid": [
        (part_solid(6.0, 6.0), "4A"),
        (part_solid(12, 7.9), "4A"),
        (part_solid(9, 3.9, change="new"), "4A"),
        (part_solid(9, 3.9, change="growing"), "4A"),
    ],
    "4A airway": [
        (solid(5, kind="airway", airway_level="segmental-or-central", change=change), "4A")
        for change in ("baseline", "new")
    ],
    "4A cyst": [
        (solid(12, kind="cyst", cyst="thick-walled"), "4A"),
        (solid(12, kind="cyst", cyst="multilocular"), "4A"),
        (solid(12, kind="cyst", cyst="thin-walled", cyst_change="became-multilocular", change="stable"), "4A"),
        (solid(12, kind="cyst", cyst="thick-walled", cyst_change="became-multilocular", change="stable"), "4A"),
    ],
    "4B airway": [
        (solid(5, kind="airway", airway_level="segmental-or-central", change=change), "4B")
        for change in ("stable", "growing")
    ],
    "4B solid": [(solid(15.0), "4B"), (solid(8.0, change="new"), "4B"), (solid(8.0, change="growing"), "4B")],
    "4B part-solid": [
        (part_solid(12, 8.0), "4B"),
        (part_solid(9, 4.0, change="new"), "4B"),
        (part_solid(9, 4.0, change="growing"), "4B"),
    ],
    "4B cyst": [
        (solid(12, kind="cyst", cyst="thick-walled", cyst_change="thicker-wall"), "4B"),
        (solid(12, kind="cyst", cyst="multilocular", cyst_change="larger-cyst"), "4B"),
        (solid(12, kind="cyst", cyst="multilocular", cyst_change="more-loculation-or-opacity"), "4B"),
    ],
    "4B slowly growing": [
        (solid(7, change="slowly-growing"), "4B"),
        (part_solid(9, 3, change="slowly-growing"), "4B"),
    ],
    "4X": [
        (solid(6, margin="spiculated"), "4X"),
        (part_solid(9, 6, suspicious=True), "4X"),
        (solid(16, suspicious=True), "4X"),
    ],
    "stepped management before its time": [
        (solid(7, change="stable", prior_category="3", prior=[{"months_ago": 3}]), "3"),
        (solid(9, change="stable", prior_category="4A", prior=[{"months_ago": 1}]), "4A"),
        (solid(16, change="stable", prior_category="4B", prior=[{"months_ago": 3}]), "4B"),
        (solid(5, change="stable", prior_category="2", prior=[{"months_ago": 12}]), "2"),
        (
            solid(
                12,
                kind="cyst",
                cyst="thick-walled",
                change="stable",
                cyst_change="none",
                prior_category="4A",
                prior=[{"months_ago": 3}],
            ),
            "3",
        ),
        (
            solid(
                12,
                kind="cyst",
                cyst="thick-walled",
                change="stable",
                cyst_change="none",
                prior_category="3",
                prior=[{"months_ago": 6}],
            ),
            "2",
        ),
    ],
}

_LOW, _HIGH = {}, {"risk": "high"}
_SEVERAL = {"nodule_count": 4}
#: Row of the Fleischner Society's table (MacMahon et al., Radiology 284, 2017, 228) -> nodule, patient, recommendation.
FLEISCHNER: list[tuple[Nodule, dict[str, Any], str]] = [
    (solid(5), _LOW, "no follow-up"),
    (solid(5), _HIGH, "CT at 12 months is optional"),
    (solid(5), _SEVERAL, "no follow-up"),
    (solid(5), _SEVERAL | _HIGH, "CT at 12 months is optional"),
    (solid(7), _LOW, "CT at 6-12 months, then consider 18-24"),
    (solid(7), _HIGH, "CT at 6-12 months, then at 18-24"),
    (solid(7), _SEVERAL, "CT at 3-6 months, then consider 18-24"),
    (solid(7), _SEVERAL | _HIGH, "CT at 3-6 months, then at 18-24"),
    (solid(9), _LOW, "consider CT at 3 months, PET/CT or tissue"),
    (solid(9), _HIGH, "consider CT at 3 months, PET/CT or tissue"),
    (solid(9), _SEVERAL, "CT at 3-6 months, then consider 18-24"),
    (solid(9), _SEVERAL | _HIGH, "CT at 3-6 months, then at 18-24"),
    (ground_glass(5), _LOW, "no follow-up"),
    (ground_glass(6), _LOW, "CT at 6-12 months, then every 2 years until 5 years"),
    (part_solid(5, 2), _LOW, "no follow-up"),
    (part_solid(6, 5), _LOW, "CT at 3-6 months, then every year for 5 years"),
    (part_solid(9, 6), _LOW, "CT at 3-6 months; if it persists, highly suspicious"),
    (ground_glass(5), _SEVERAL, "CT at 3-6 months, if stable consider 2 and 4 years"),
    (part_solid(9, 6), _SEVERAL, "CT at 3-6 months, then by the most suspicious"),
    (solid(12, benign_pattern=True), _LOW, "no follow-up"),
    (solid(9, juxtapleural=True, margin="smooth", shape="triangular"), _LOW, "no follow-up"),
]


def volumes(now: float, before: float, months: float, **said: Any) -> Nodule:
    return Nodule(long=9, volume=now, said={"prior": [{"months_ago": months, "volume_mm3": before}], **said})


def seen(months: float, change: str, attenuation: str = "solid", mean: float = 7) -> Nodule:
    return Nodule(
        mean,
        attenuation,
        said={"change": change, "prior": [{"months_ago": months}], "lobe": "lower", "margin": "smooth"},
    )


_HIGH_BROCK = {"lobe": "upper", "margin": "spiculated"}
_LOW_BROCK = {"lobe": "lower", "margin": "smooth"}
#: Row of the BTS algorithms (Callister et al., Thorax 70, 2015, suppl. 2, ii1) -> nodule, patient, recommendation.
BTS: list[tuple[Nodule, dict[str, Any], str]] = [
    (solid(12, benign_pattern=True), {}, "discharge"),
    (solid(9, juxtapleural=True, margin="smooth", shape="lentiform"), {}, "discharge"),
    (solid(4.9), {}, "discharge"),
    (Nodule(long=6, volume=79), {}, "discharge"),
    (solid(4.9, change="new"), {}, "CT surveillance"),
    (solid(5.0), {}, "CT at 1 year"),
    (solid(5.9), {}, "CT at 1 year"),
    (solid(6.0), {}, "CT at 3 months"),
    (Nodule(long=5.5, volume=80), {}, "CT at 3 months"),
    (solid(8.0, **_LOW_BROCK), {}, "CT at 3 months"),
    (solid(20, **_HIGH_BROCK), {}, "PET-CT"),
    (solid(12, **_HIGH_BROCK, pet="none"), {"smoking": "never"}, "CT at 3 months"),
    (solid(20, **_HIGH_BROCK, pet="faint"), {}, "biopsy, or excision or CT surveillance"),
    (solid(20, **_HIGH_BROCK, pet="intense"), {}, "excision or non-surgical treatment, biopsy before it"),
    (ground_glass(4.9), {}, "discharge"),
    (ground_glass(5.0), {}, "CT at 3 months"),
    (part_solid(9, 4), {}, "CT at 3 months"),
    (ground_glass(9, change="growing"), {}, "favour resection or biopsy"),
    (seen(48, "stable", "ground-glass"), {}, "discharge"),
    (seen(3, "stable", "ground-glass"), {}, "CT at 1, 2 and 4 years"),
    (
        Nodule(20, "part-solid", 9, said={"change": "stable", "prior": [{"months_ago": 3}], **_HIGH_BROCK}),
        {},
        "biopsy, resection or CT surveillance",
    ),
    (volumes(200, 100, 12), {}, "biopsy, PET-CT or resection"),
    (volumes(200, 100, 18), {}, "biopsy or CT surveillance"),
    (volumes(200, 100, 24), {}, "discharge or CT surveillance"),
    (volumes(124, 100, 12), {}, "discharge"),
    (volumes(124, 100, 3), {}, "CT at 1 year"),
    (seen(12, "growing"), {}, "biopsy, PET-CT or resection"),
    (seen(24, "stable"), {}, "discharge"),
    (seen(12, "stable"), {}, "CT at 2 years"),
    (seen(3, "stable"), {}, "CT at 1 year"),
]
