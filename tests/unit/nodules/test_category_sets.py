"""Whatever is known of a nodule: every system answers or says why not, and who knows more has no other answer."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from typing import Any, get_args

import pytest

from lungline.nodules.category_facts import NoduleSize, size_by_reader, within
from lungline.nodules.category_sets import category_sets, read_systems, risks
from lungline.nodules.patient import Patient, Reading
from lungline.nodules.rule_evaluator import Interval

COUNT = 150
#: Left out here: what a reader has not stated counts as the usual case, so that a statement may give another answer.
STATED = {"benign_pattern", "proven_benign", "juxtapleural", "suspicious", "kind", "exam", "margin"}
SIZES = {"long_mm", "short_mm", "solid_long_mm", "solid_short_mm", "volume_mm3", "attenuation"}


def words_of(model: Any, name: str) -> list[Any]:
    """The values that a field of words or of yes and no may have."""
    kind = get_args(model.model_fields[name].annotation)[0]
    return [True, False] if kind is bool else list(get_args(kind))


def drawn(rng: random.Random) -> tuple[NoduleSize, dict[str, Any], dict[str, Any]]:
    """A nodule of which all is known, what a reader says of it, and its patient."""
    mean = round(rng.uniform(2, 34), 1)
    volume = round(mean**3 * rng.uniform(0.3, 0.6), 1)
    point = Interval(mean, mean)
    attenuation = rng.choice(["solid", "part-solid", "ground-glass"])
    solid = Interval(*[round(mean * rng.uniform(0.1, 1), 1)] * 2) if attenuation == "part-solid" else None
    size = NoduleSize(point, Interval(*[round(1.2 * mean, 1)] * 2), Interval(volume, volume), solid, attenuation, 0.0)
    said = {
        name: rng.choice(words_of(Reading, name))
        for name in Reading.model_fields
        if name not in SIZES | {"prior", "change"}
    }
    patient = {
        name: rng.choice(words_of(Patient, name))
        for name in Patient.model_fields
        if name not in ("age", "nodule_count", "nodules", "first_scan")
    }
    patient |= {"age": rng.choice([30, 50, 70]), "nodule_count": rng.choice([1, 3])}
    if rng.random() < 0.5:
        months = sorted(rng.sample(range(1, 40), rng.choice([1, 2])), reverse=True)
        said["prior"] = [
            {
                "months_ago": month,
                "mean_mm": round(mean * rng.uniform(0.7, 1.2), 1),
                "volume_mm3": volume * rng.uniform(0.5, 1.5),
            }
            for month in months
        ]
    else:
        said["change"] = rng.choice(words_of(Reading, "change"))
    return size, said, patient


def solved(size: NoduleSize, said: dict[str, Any], patient: dict[str, Any], error: float = 0.0):
    reading = Reading(**said)
    return {
        one.system: one
        for one in category_sets(size_by_reader(size, reading, within(error)), reading, Patient(**patient))
    }


@pytest.mark.parametrize("seed", range(3))
def test_every_system_answers_or_says_why_not(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(COUNT):
        size, said, patient = drawn(rng)
        said = {name: value for name, value in said.items() if rng.random() < 0.6}
        patient = {name: value for name, value in patient.items() if rng.random() < 0.6}
        for one in solved(size, said, patient).values():
            assert one.categories or one.does_not_apply
            assert bool(one.reasons) or len(one.categories) <= 1
            assert one.text


@pytest.mark.parametrize("seed", range(3))
def test_who_knows_more_has_no_answer_that_was_not_possible_before(seed: int) -> None:
    rng = random.Random(100 + seed)
    for _ in range(COUNT):
        size, said, patient = drawn(rng)
        whole = solved(size, said, patient)
        hidden = {name: said[name] for name in said if name in STATED or rng.random() < 0.6}
        fewer = {name: patient[name] for name in patient if name in STATED or rng.random() < 0.6}
        for system, one in solved(size, hidden, fewer).items():
            assert set(whole[system].categories) <= set(one.categories), (system, said, patient)
            if not whole[system].categories:
                assert one.does_not_apply


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_nodule_has_no_milder_category_and_no_lower_risk(seed: int) -> None:
    rng = random.Random(300 + seed)
    for _ in range(COUNT // 3):
        size, said, patient = drawn(rng)
        said = {name: word for name, word in said.items() if name not in ("prior", "prior_category")}
        said["change"] = rng.choice(["baseline", "new", "growing", "slowly-growing"])
        before, chances = "", dict.fromkeys(("brock_full", "brock_full_without_spiculation", "mayo", "herder"), 0.0)
        for mean in sorted(rng.uniform(4, 30) for _ in range(6)):
            point = Interval(mean, mean)
            larger = replace(size, mean_mm=point, long_mm=point, volume_mm3=None)
            found = solved(larger, said, patient)["lung_rads_2022"].categories
            assert max(found, default=before) >= before, (said, mean)
            before = max(found, default=before)
            for model, risk in risks(larger, Reading(**said), Patient(**patient)).items():
                if model in chances and risk.probability is not None:
                    assert risk.probability.low >= chances[model]
                    chances[model] = risk.probability.low


@pytest.mark.parametrize("system", ["lung_rads_2022", "fleischner_2017", "bts_2015"])
def test_the_volumes_of_a_system_grow_with_its_diameters_and_are_those_of_balls_or_smaller(system: str) -> None:
    volumes = read_systems()[system].volumes
    assert sorted(volumes.values()) == list(volumes.values())
    for diameter, volume in volumes.items():
        assert 0.6 < volume / (math.pi / 6 * diameter**3) < 1.3  # mm and mm3, and no other units


@pytest.mark.parametrize("seed", range(3))
def test_limits_of_the_size_hold_the_answer_of_each_size_within(seed: int) -> None:
    rng = random.Random(200 + seed)
    for _ in range(COUNT):
        size, said, patient = drawn(rng)
        assert size.mean_mm is not None
        error = rng.choice([0.3, 1.0])
        wide = Interval(max(size.mean_mm.low - error, 0.1), size.mean_mm.high + error)
        limits = NoduleSize(wide, size.long_mm, size.volume_mm3, size.solid_mm, size.attenuation, 0.0)
        found, point = solved(limits, said, patient), solved(size, said, patient)
        for system in found:
            assert set(point[system].categories) <= set(found[system].categories), (system, said)
