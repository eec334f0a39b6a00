"""What public calculators answer to their own test cases, we answer as well, or the rule says otherwise."""

from __future__ import annotations

from collections import Counter

import pytest

from calculator_cases import FLEISCHNER, LUNG_RADS, RISKS, Case
from lungline.nodules.category_facts import NoduleSize, interval
from lungline.nodules.category_sets import read_systems, risk_models, risks
from lungline.nodules.patient import Patient, Reading
from nodule_cases import FOUND_BY_CHANCE, SCREENING, WHOLE, solve


@pytest.mark.parametrize("case", LUNG_RADS)
def test_a_case_of_lung_rads(case: Case) -> None:
    assert solve("lung_rads_2022", case.nodule, SCREENING).categories == (case.expected,)


@pytest.mark.parametrize("case", FLEISCHNER)
def test_a_case_of_the_fleischner_society(case: Case) -> None:
    found = solve("fleischner_2017", case.nodule, FOUND_BY_CHANCE | dict(case.patient))
    assert found.categories == (case.expected,)


@pytest.mark.parametrize(("source", "model", "long_mm", "attenuation", "said", "patient", "theirs"), RISKS)
def test_a_case_of_a_model_of_risk(source, model, long_mm, attenuation, said, patient, theirs) -> None:
    patient = {"cancer_history": "none", "nodule_count": 1, **WHOLE, **patient}
    size = NoduleSize(long_mm=interval(long_mm), attenuation=attenuation)
    found = risks(size, Reading(**said), Patient(**patient))[model].probability
    assert found is not None
    assert found.low == found.high == pytest.approx(theirs, abs=0.51 * 10 ** -len(f"{theirs}"[2:]))


def test_there_are_sixty_cases_whose_differences_are_named() -> None:
    cases = [*LUNG_RADS, *FLEISCHNER]
    assert len(cases) + len(RISKS) >= 60
    assert all(case.rule for case in cases if case.ours)
    agree = Counter(case.source for case in cases if not case.ours)
    assert len(agree) >= 5, agree


def test_every_source_of_a_case_stands_in_the_data() -> None:
    systems = read_systems()
    assert {case.source for case in LUNG_RADS} <= {*systems["lung_rads_2022"].seen}
    assert {case.source for case in FLEISCHNER} <= {*systems["fleischner_2017"].seen}
    for _, model, *_ in RISKS:
        assert any("lungnodules" in source for source in risk_models()[model]["seen_in"])
