"""Cases in which a fast answer is wrong, and further ones at the borders of the published rules."""

from __future__ import annotations

import math

import pytest

from lungline.nodules.category_facts import doubling_time
from lungline.nodules.category_sets import most_severe
from nodule_cases import (
    FOUND_BY_CHANCE,
    SCREENING,
    WHOLE,
    Nodule,
    ground_glass,
    part_solid,
    solid,
    solve,
)


def lung_rads(nodule: Nodule, **patient) -> tuple[str, ...]:
    return solve("lung_rads_2022", nodule, SCREENING | patient).categories


def fleischner(nodule: Nodule, **patient) -> tuple[str, ...]:
    return solve("fleischner_2017", nodule, FOUND_BY_CHANCE | patient).categories


def bts(nodule: Nodule, **patient) -> tuple[str, ...]:
    return solve("bts_2015", nodule, FOUND_BY_CHANCE | WHOLE | patient).categories


def axes(long: float, short: float) -> Nodule:
    return Nodule(said={"long_mm": long, "short_mm": short})


def grown(now: float, *before: tuple[float, float], **said) -> Nodule:
    return solid(now, prior=[{"months_ago": months, "mean_mm": mean} for months, mean in before], **said)


MIDDLE, SMALL = ("CT at 6-12 months, then consider 18-24",), ("no follow-up",)
LARGE = ("consider CT at 3 months, PET/CT or tissue",)


def test_each_system_rounds_the_mean_in_its_own_way() -> None:
    assert lung_rads(axes(6.3, 5.1)) == ("2",)  # 5.7
    assert fleischner(axes(6.3, 5.1)) == MIDDLE  # 6


def test_eight_millimetres_belong_to_the_middle_class_of_the_fleischner_society() -> None:
    assert fleischner(solid(8)) == MIDDLE
    assert fleischner(solid(8.4)) == MIDDLE
    assert fleischner(solid(8.5)) == LARGE


def test_a_volume_has_limits_of_its_own() -> None:
    assert fleischner(Nodule(volume=105)) == MIDDLE
    assert lung_rads(Nodule(volume=105)) == ("2",)


def test_growth_of_exactly_one_and_a_half_millimetres_is_none() -> None:
    assert lung_rads(grown(7.5, (12, 6.0), prior_category="3")) == ("2",)
    assert lung_rads(grown(7.6, (12, 6.0), prior_category="3")) == ("4A",)


def test_growth_over_several_exams_is_slow_growth_whatever_the_size() -> None:
    assert lung_rads(grown(10.6, (24, 9.0), (12, 9.8))) == ("4B",)
    slow = {"prior": [{"months_ago": 24, "mean_mm": 9.0}, {"months_ago": 12, "mean_mm": 9.8}]}
    assert lung_rads(Nodule(10.6, "ground-glass", said=slow)) == ("2",)


@pytest.mark.parametrize(
    ("nodule", "category"),
    [
        (part_solid(5.8, 5), "2"),  # the total below 6 decides
        (part_solid(9, 6.0), "4A"),
        (part_solid(5, 2, change="new"), "3"),
        (part_solid(5, 4.5, change="new"), "3"),
        (solid(5.0, change="new"), "3"),
        (solid(6.0, change="new"), "4A"),
        (ground_glass(12, change="new"), "2"),
        (solid(5, margin="spiculated"), "2"),  # 4X needs category 3 or 4 first
        (solid(9.5, change="new", juxtapleural=True, margin="smooth", shape="triangular"), "2"),
        (solid(9.5, change="new"), "4B"),
    ],
)
def test_a_case_of_lung_rads(nodule: Nodule, category: str) -> None:
    assert lung_rads(nodule) == (category,)


def test_a_volume_doubles_halves_or_stays() -> None:
    ball = math.pi / 6
    assert doubling_time(ball * 8**3, ball * 10**3, 90) == pytest.approx(93.2, abs=0.05)
    assert doubling_time(100, 80, 90) == pytest.approx(-279.6, abs=0.05)
    assert doubling_time(100, 100, 90) == math.inf


def test_a_volume_that_halves_is_not_taken_for_one_that_doubles_fast() -> None:
    halving = Nodule(long=9, volume=80, said={"prior": [{"months_ago": 12, "volume_mm3": 100}]})
    assert bts(halving) == ("discharge",)
    unchanged = Nodule(long=9, volume=100, said={"prior": [{"months_ago": 12, "volume_mm3": 100}]})
    assert bts(unchanged) == ("discharge",)


#: Source: Lung-RADS v2022, notes on size, growth, thresholds and stepped management.
FURTHER_LUNG_RADS = [
    (axes(6.0, 5.9), "3"),  # mean 5.95, to one decimal 6.0
    (axes(5.9, 5.9), "2"),
    (axes(6.04, 5.84), "2"),  # axes 6.0 and 5.8
    (axes(8.0, 7.9), "4A"),  # 7.95 is 8.0
    (axes(9.0, 6.8), "3"),  # 7.9: not by the long axis
    (axes(14.9, 14.9), "4A"),
    (axes(15.0, 14.9), "4B"),
    (axes(20.0, 9.8), "4A"),
    (Nodule(volume=112), "2"),
    (Nodule(volume=113), "3"),
    (Nodule(volume=267), "3"),
    (Nodule(volume=268), "4A"),
    (Nodule(volume=1766), "4A"),
    (Nodule(volume=1767), "4B"),
    (Nodule(volume=33, said={"change": "new"}), "2"),
    (Nodule(volume=34, said={"change": "new"}), "3"),
    (Nodule(volume=14136, attenuation="ground-glass"), "2"),
    (Nodule(volume=14137, attenuation="ground-glass"), "3"),
    (grown(5.9, (12, 5.0), prior_category="2"), "2"),  # no growth, no higher class
    (grown(6.2, (12, 5.8), prior_category="2"), "3"),  # no growth, but a higher class
    (grown(8.2, (12, 7.6), prior_category="3"), "4A"),  # likewise
    (grown(7.9, (12, 7.2), prior_category="3"), "2"),  # same class, stable
    (grown(7.0, (6, 5.4)), "4A"),  # 1.6 mm in 6 months
    (grown(9.0, (12, 7.4)), "4B"),  # growing, 8 mm or more
    (grown(9.0, (24, 5.9)), "4B"),  # 3.1 mm in 24 months: more than 1.5 in one of them
    (grown(7.0, (12, 9.0), prior_category="4A"), "3"),  # smaller
    (grown(5.0, (12, 7.0), prior_category="3"), "2"),
    (grown(10.0, (36, 9.0), (24, 9.4), (12, 9.8), prior_category="2"), "2"),  # 1.0 mm in all: no growth
    (part_solid(6.0, 5.9), "3"),
    (part_solid(30, 7.9), "4A"),
    (part_solid(5.9, 5.9), "2"),
    (part_solid(8, 0.5, change="new"), "4A"),
    (ground_glass(35, change="growing"), "3"),
    (ground_glass(20, suspicious=True), "2"),
    (ground_glass(31, suspicious=True), "4X"),
    (solid(4, change="new", suspicious=True), "4X"),
    (solid(3.9, change="new", suspicious=True), "2"),
    (solid(20, benign_pattern=True, margin="spiculated"), "1"),
    (solid(9, juxtapleural=False), "4A"),
    (solid(7, margin="lobulated"), "3"),
]


@pytest.mark.parametrize(("nodule", "category"), FURTHER_LUNG_RADS)
def test_a_further_case_of_lung_rads(nodule: Nodule, category: str) -> None:
    assert lung_rads(nodule) == (category,)


def test_only_a_class_of_its_own_kind_counts_as_a_higher_one() -> None:
    prior = [{"months_ago": 12, "mean_mm": 7.5, "solid_mm": 3.0}]
    assert lung_rads(part_solid(8.2, 3.4, prior=prior, prior_category="3")) == ("2",)  # 8 mm in all is no border
    prior = [{"months_ago": 12, "mean_mm": 9.0, "solid_mm": 5.6}]
    assert lung_rads(part_solid(9.0, 6.0, prior=prior, prior_category="3")) == ("4A",)  # 6 mm of its solid part is
    prior = [{"months_ago": 12, "mean_mm": 29.5}]
    assert lung_rads(Nodule(30.0, "ground-glass", said={"prior": prior})) == ("3",)


def test_a_year_is_twelve_whole_months() -> None:
    assert lung_rads(grown(7.0, (12.3, 5.4))) == ("4A",)
    assert lung_rads(grown(7.0, (13, 5.4))) == ("4A", "4B")


def test_an_earlier_scan_leaves_no_baseline() -> None:
    whole = {"first_scan": False}
    assert solve("lung_rads_2022", solid(3.9), SCREENING | whole).categories == ("2", "3", "4A", "4B")
    assert solve("lung_rads_2022", ground_glass(12), SCREENING | whole).text.startswith("2")


def test_a_long_axis_alone_gives_the_means_that_it_allows() -> None:
    assert lung_rads(Nodule(said={"long_mm": 9.0})) == ("2", "3", "4A")  # 4.5 to 9.0
    assert lung_rads(Nodule(said={"long_mm": 5.9})) == ("2",)


def test_a_solid_part_that_grows_makes_the_nodule_grow() -> None:
    prior = [{"months_ago": 12, "mean_mm": 12.0, "solid_mm": 2.0}]
    assert lung_rads(part_solid(12.0, 3.6, prior=prior)) == ("4A",)
    assert lung_rads(part_solid(12.0, 4.0, prior=prior)) == ("4B",)
    assert lung_rads(part_solid(12.0, 3.5, prior=prior, prior_category="3")) == ("2",)


#: Source: MacMahon et al., Radiology 284, 2017, 228, table and text; Bankier et al., Radiology 285, 2017, 584.
FURTHER_FLEISCHNER = [
    (axes(5.9, 5.0), {}, SMALL),  # 5.45 is 5
    (axes(6.0, 5.0), {}, MIDDLE),  # 5.5 is 6
    (axes(9.0, 7.8), {}, MIDDLE),  # 8.4 is 8
    (axes(9.0, 8.0), {}, LARGE),  # 8.5 is 9
    (Nodule(volume=99), {}, SMALL),
    (Nodule(volume=100), {}, MIDDLE),
    (Nodule(volume=250), {}, MIDDLE),
    (Nodule(volume=251), {}, LARGE),
    (solid(7), {"age": 35}, MIDDLE),
    (solid(7), {"cancer_history": "over_5_years"}, MIDDLE),
    (solid(7), {"nodule_count": 2}, ("CT at 3-6 months, then consider 18-24",)),
    (ground_glass(5.4), {"risk": "high"}, SMALL),
]


@pytest.mark.parametrize(("nodule", "patient", "answer"), FURTHER_FLEISCHNER)
def test_a_further_case_of_the_fleischner_society(nodule: Nodule, patient, answer) -> None:
    assert fleischner(nodule, **patient) == answer


#: Source: Callister et al., Thorax 70, 2015, suppl. 2, algorithms 1 to 3.
FURTHER_BTS = [
    (Nodule(long=9, volume=299), "CT at 3 months"),  # volume before diameter
    (Nodule(long=7, volume=79), "discharge"),
    (axes(5.0, 3.0), "CT at 1 year"),  # the largest diameter, not the mean
    (
        Nodule(long=9, volume=125, said={"prior": [{"months_ago": 12, "volume_mm3": 100}]}),
        "discharge or CT surveillance",
    ),
    (
        Nodule(long=9, volume=200, said={"prior": [{"months_ago": 13, "volume_mm3": 100}]}),
        "biopsy, PET-CT or resection",
    ),
    (Nodule(long=9, volume=200, said={"prior": [{"months_ago": 14, "volume_mm3": 100}]}), "biopsy or CT surveillance"),
    (solid(9, juxtapleural=True, margin="smooth", shape="triangular"), "discharge"),
    (ground_glass(4.9, change="stable"), "discharge"),
]


@pytest.mark.parametrize(("nodule", "answer"), FURTHER_BTS)
def test_a_further_case_of_the_british_thoracic_society(nodule: Nodule, answer: str) -> None:
    assert bts(nodule) == (answer,)


def test_growth_of_unknown_speed_gives_the_answers_of_every_speed() -> None:
    growing = Nodule(long=9, volume=200, said={"change": "growing"})
    assert set(bts(growing)) == {
        "biopsy, PET-CT or resection",
        "biopsy or CT surveillance",
        "discharge or CT surveillance",
    }
    stable = Nodule(long=9, volume=200, said={"change": "stable", "prior": [{"months_ago": 12}]})
    assert bts(stable) == ("CT at 2 years",)


def test_there_are_sixty_further_cases() -> None:
    assert len(FURTHER_LUNG_RADS) + len(FURTHER_FLEISCHNER) + len(FURTHER_BTS) >= 60


def test_an_error_of_the_size_gives_all_categories_that_it_allows() -> None:
    found = solve("lung_rads_2022", Nodule(8.0, error=0.4), SCREENING)
    assert found.categories == ("3", "4A")
    assert found.text.startswith("3 or 4A: mean 7.6 to 8.4 mm")
    assert solve("lung_rads_2022", Nodule(7.0, error=0.4), SCREENING).categories == ("3",)


def test_size_and_growth_go_together() -> None:
    """7.6 to 8.4 mm, 6.5 mm a year ago: what has grown is above 8 mm, so it is 4B and never 4A by growth."""
    prior = [{"months_ago": 12, "mean_mm": 6.5}]
    nodule = Nodule(8.0, error=0.4, said={"prior": prior, "prior_category": "3"})
    assert lung_rads(nodule) == ("2", "4A", "4B")  # stable below 8.0, a higher class at 8.0, grown from 8.1 on
    smaller = Nodule(7.8, error=0.1, said={"prior": prior, "prior_category": "3"})
    assert lung_rads(smaller) == ("2",)


def test_growth_between_scans_far_apart_may_have_been_slow() -> None:
    assert lung_rads(grown(7.4, (24, 5.4))) == ("4A", "4B")


@pytest.mark.parametrize(
    ("nodule", "patient", "categories", "reason"),
    [
        (solid(7), {"purpose": "screening"}, ("2", "3", "4A", "4B"), "how it compares with an earlier scan"),
        (Nodule(7, None), SCREENING, ("2", "3", "4A"), "whether it is solid"),
        (part_solid(9, None), SCREENING, ("3", "4A", "4B"), "the size of its solid part"),
        (part_solid(7, None), SCREENING, ("3", "4A"), "the size of its solid part"),
        (solid(9, kind="airway"), SCREENING, ("2", "4A"), "where in the airways it lies"),
        (solid(7, change="stable", prior_category="3"), SCREENING, ("2", "3"), "how many months"),
        (solid(9.5, juxtapleural=True, margin="smooth"), SCREENING, ("2", "4A"), "whether it is oval"),
        (Nodule(7, calcified=0.5), SCREENING, ("1", "3"), "whether calcification is"),
        (Nodule(None), SCREENING, ("2", "3", "4A", "4B"), "its size"),
    ],
)
def test_what_is_not_known_is_asked_for(nodule, patient, categories, reason) -> None:
    found = solve("lung_rads_2022", nodule, patient)
    assert found.categories == categories
    assert "not known: " in found.text
    assert reason in found.text


def test_an_unknown_that_changes_nothing_is_not_asked_for() -> None:
    found = solve("lung_rads_2022", Nodule(5, None), SCREENING)  # solid, part-solid or ground glass: 2
    assert (found.categories, found.reasons) == (("2",), ())
    assert solve("lung_rads_2022", solid(5.0), SCREENING).text == "2"


def test_what_only_a_reader_sees_is_named_with_the_category_that_it_gives() -> None:
    found = solve("lung_rads_2022", solid(7), SCREENING)
    assert found.categories == ("3",)
    assert found.if_seen == (
        "2 if juxtapleural, smooth, and oval, lentiform or triangular",
        "4X if spiculated or otherwise suspicious",
    )
    assert solve("lung_rads_2022", solid(7, juxtapleural=False, suspicious=False), SCREENING).if_seen == ()


def test_an_unknown_age_leaves_open_whether_the_rules_apply() -> None:
    found = solve("fleischner_2017", solid(7), FOUND_BY_CHANCE | {"age": None})
    assert found.categories == MIDDLE
    assert "unless it does not apply (not for patients under 35)" in found.text


def test_unknown_risk_and_count_give_every_recommendation() -> None:
    found = solve("fleischner_2017", solid(7), FOUND_BY_CHANCE | {"risk": None, "nodule_count": None})
    assert len(found.categories) == 4
    assert "how many nodules there are" in found.text


def test_many_recommendations_are_named_by_their_ends() -> None:
    found = solve("bts_2015", Nodule(None, None), {})
    assert len(found.categories) > 4
    assert found.text.startswith(f"any of {len(found.categories)}, from discharge to ")


def test_a_volume_that_says_otherwise_than_the_diameter_is_mentioned() -> None:
    assert solve("lung_rads_2022", Nodule(6.1, volume=100), SCREENING).other_measure == "2 by volume 100 mm3"
    assert solve("lung_rads_2022", Nodule(6.1, volume=120), SCREENING).other_measure == ""


def test_a_wide_brock_risk_gives_both_ways_and_says_what_would_narrow_it() -> None:
    patient = FOUND_BY_CHANCE | {"sex": None}
    found = solve("bts_2015", Nodule(long=12, volume=900), patient)
    assert found.categories == ("CT at 3 months", "PET-CT")
    assert "Brock risk" in found.text
    assert "sex" in found.text
    whole = {"sex": "female", "family_history": True, "emphysema": True}
    told = Nodule(long=12, volume=900, said={"lobe": "upper", "margin": "spiculated"})
    assert solve("bts_2015", told, FOUND_BY_CHANCE | whole).categories == ("PET-CT",)


def test_the_exam_has_the_category_of_its_gravest_nodule() -> None:
    assert most_severe([["2"], ["3", "4A"], ["2", "3"]]) == ["3", "4A"]
    assert most_severe([["2"], []]) == ["2"]
    assert most_severe([]) == []
