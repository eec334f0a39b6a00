"""Every row of the published tables gives the answer that the table prints."""

from __future__ import annotations

import pytest

from lungline.nodules.category_sets import read_systems, risk_models
from nodule_cases import BTS, FLEISCHNER, FOUND_BY_CHANCE, LUNG_RADS, SCREENING, WHOLE, Nodule, solid, solve

_LUNG_RADS = [(row, nodule, category) for row, cases in LUNG_RADS.items() for nodule, category in cases]


@pytest.mark.parametrize(("row", "nodule", "category"), _LUNG_RADS)
def test_a_row_of_lung_rads_v2022(row: str, nodule: Nodule, category: str) -> None:
    assert solve("lung_rads_2022", nodule, SCREENING).categories == (category,)


@pytest.mark.parametrize("exam", ["prior-to-come", "not-all-lung-seen", "infection-suspected"])
def test_a_row_of_lung_rads_v2022_for_an_exam_that_is_not_complete(exam: str) -> None:
    assert solve("lung_rads_2022", solid(16), SCREENING | {"exam": exam}).categories == ("0",)


@pytest.mark.parametrize(("nodule", "patient", "answer"), FLEISCHNER)
def test_a_row_of_fleischner_2017(nodule: Nodule, patient, answer: str) -> None:
    assert solve("fleischner_2017", nodule, FOUND_BY_CHANCE | patient).categories == (answer,)


@pytest.mark.parametrize(("nodule", "patient", "answer"), BTS)
def test_a_row_of_bts_2015(nodule: Nodule, patient, answer: str) -> None:
    assert solve("bts_2015", nodule, FOUND_BY_CHANCE | WHOLE | patient).categories == (answer,)


REFUSED = [
    ("lung_rads_2022", SCREENING | {"purpose": "incidental"}, {}, "Lung-RADS is for screening CT"),
    ("lung_rads_2022", SCREENING, {"kind": "cyst", "cyst": "thin-walled"}, "thin-walled cysts are benign"),
    ("lung_rads_2022", SCREENING, {"kind": "airway", "airway_level": "subsegmental", "change": "growing"}, "no row"),
    (
        "lung_rads_2022",
        SCREENING,
        {"kind": "airway", "airway_level": "segmental-or-central", "change": "decreased"},
        "no row",
    ),
    ("fleischner_2017", FOUND_BY_CHANCE | {"purpose": "screening"}, {}, "not for screening"),
    ("fleischner_2017", FOUND_BY_CHANCE | {"age": 34}, {}, "under 35"),
    ("fleischner_2017", FOUND_BY_CHANCE | {"cancer_history": "within_5_years"}, {}, "known cancer"),
    ("fleischner_2017", FOUND_BY_CHANCE | {"immunosuppressed": True}, {}, "immunosuppressed"),
    ("fleischner_2017", FOUND_BY_CHANCE, {"change": "growing"}, "this one has grown"),
    ("fleischner_2017", FOUND_BY_CHANCE, {"kind": "cyst"}, "in the lung tissue"),
    ("fleischner_2017", FOUND_BY_CHANCE, {"long_mm": 31.0, "short_mm": 31.0}, "it is a mass"),
    ("bts_2015", FOUND_BY_CHANCE | {"age": 17}, {}, "for adults"),
    ("bts_2015", FOUND_BY_CHANCE, {"long_mm": 31.0, "short_mm": 12.0}, "it is a mass"),
    ("bts_2015", FOUND_BY_CHANCE, {"kind": "airway"}, "in the lung tissue"),
]


@pytest.mark.parametrize(("system", "patient", "said", "reason"), REFUSED)
def test_where_rules_do_not_apply_nothing_is_printed_but_why(system, patient, said, reason) -> None:
    found = solve(system, solid(7, **said), patient)
    assert found.categories == ()
    assert found.text.startswith("does not apply: ")
    assert reason in found.text


def test_every_row_of_the_file_is_met_by_a_test() -> None:
    met = {
        ("lung_rads_2022", text)
        for _, nodule, _ in _LUNG_RADS
        for text in solve("lung_rads_2022", nodule, SCREENING).rows
    }
    for exam in ("prior-to-come", "not-all-lung-seen", "infection-suspected"):
        met |= {("lung_rads_2022", t) for t in solve("lung_rads_2022", solid(7), SCREENING | {"exam": exam}).rows}
    for system, cases, base in (("fleischner_2017", FLEISCHNER, {}), ("bts_2015", BTS, WHOLE)):
        met |= {
            (system, t)
            for nodule, patient, _ in cases
            for t in solve(system, nodule, FOUND_BY_CHANCE | base | patient).rows
        }
    for system, patient, said, _ in REFUSED:
        met |= {(system, text) for text in solve(system, solid(7, **said), patient).does_not_apply}
    rows = {(name, row.text) for name, system in read_systems().items() for row in (*system.rows, *system.afterwards)}
    assert sorted(rows - met) == []


def test_every_source_that_a_row_names_is_listed_and_every_listed_one_is_named() -> None:
    for system in read_systems().values():
        assert {name for row in (*system.rows, *system.afterwards) for name in row.seen_in} == {*system.seen}


def test_a_row_without_a_second_source_is_told_as_unchecked() -> None:
    before = solid(7, change="stable", prior_category="3", prior=[{"months_ago": 3}])
    found = solve("lung_rads_2022", before, SCREENING)
    assert found.unchecked == ("category 3 before its 6 months are over",)
    assert found.text.endswith("unchecked, no second source: category 3 before its 6 months are over")
    assert solve("lung_rads_2022", solid(7), SCREENING).unchecked == ()
    refused = solve("fleischner_2017", solid(7, kind="cyst"), FOUND_BY_CHANCE)
    assert refused.text == "does not apply: for nodules in the lung tissue (unchecked, no second source)"


def test_every_system_and_model_names_its_source() -> None:
    for one in read_systems().values():
        assert any(word in one.source for word in ("2015", "2017", "2022"))
    for model in risk_models().values():
        assert any(journal in model["source"] for journal in ("N Engl J Med", "Arch Intern Med", "Chest"))
