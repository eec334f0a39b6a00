"""Published models of risk give the numbers that their coefficients give by hand, and limits for what is not known."""

from __future__ import annotations

import itertools
import math

import pytest

from lungline.nodules.category_facts import NoduleSize, interval, within
from lungline.nodules.category_sets import risks
from lungline.nodules.patient import Patient, Reading

WHOLE = {
    "age": 62.0,
    "sex": "male",
    "smoking": "never",
    "family_history": False,
    "emphysema": False,
    "cancer_history": "none",
    "nodule_count": 1,
}
PLAIN = {"lobe": "lower", "margin": "smooth"}


def percent(
    model: str, long_mm: float = 10, attenuation: str = "solid", said=PLAIN, error: float = 0, **patient
) -> tuple:
    size = NoduleSize(long_mm=interval(long_mm, within(error)), attenuation=attenuation)
    found = risks(size, Reading(**said), Patient(**(WHOLE | patient)))[model].probability
    assert found is not None
    return 100 * found.low, 100 * found.high


def of(logit: float) -> float:
    return 100 / (1 + math.exp(-logit))


def brock(long_mm: float) -> float:
    return -6.7892 - 5.3854 * ((long_mm / 10) ** -0.5 - 1.58113883) - 0.0824 * (1 - 4)


#: model, arguments, probability by hand in per cent
BY_HAND = [
    ("brock_full", {}, 3.19),
    ("brock_full", {"long_mm": 4, "nodule_count": 4}, of(-6.7892)),  # everything at its centre
    ("brock_full", {"sex": "female"}, of(brock(10) + 0.6011)),
    ("brock_full", {"age": 72}, of(brock(10) + 0.287)),
    ("brock_full", {"family_history": True}, of(brock(10) + 0.2961)),
    ("brock_full", {"emphysema": True}, of(brock(10) + 0.2953)),
    ("brock_full", {"attenuation": "part-solid"}, of(brock(10) + 0.377)),
    ("brock_full", {"attenuation": "ground-glass"}, of(brock(10) - 0.1276)),
    ("brock_full", {"said": PLAIN | {"lobe": "upper"}}, of(brock(10) + 0.6581)),
    ("brock_full", {"said": PLAIN | {"margin": "spiculated"}}, of(brock(10) + 0.7729)),
    ("brock_full", {"nodule_count": 5}, of(brock(10) - 4 * 0.0824)),
    ("brock_full", {"long_mm": 20}, of(brock(20))),
    ("brock_parsimonious", {"long_mm": 4}, of(-6.6144)),
    ("brock_parsimonious", {"long_mm": 4, "sex": "female"}, of(-6.6144 + 0.6467)),
    (
        "brock_parsimonious",
        {"long_mm": 4, "said": {"lobe": "upper", "margin": "spiculated"}},
        of(-6.6144 + 0.6009 + 0.9309),
    ),
    ("brock_parsimonious", {}, of(-6.6144 - 5.5537 * (1 - 1.58113883))),
    ("mayo", {}, of(-6.8272 + 0.0391 * 62 + 0.1274 * 10)),
    ("mayo", {"smoking": "former"}, of(-6.8272 + 0.0391 * 62 + 0.1274 * 10 + 0.7917)),
    ("mayo", {"smoking": "current"}, of(-6.8272 + 0.0391 * 62 + 0.1274 * 10 + 0.7917)),
    ("mayo", {"cancer_history": "over_5_years"}, of(-6.8272 + 0.0391 * 62 + 0.1274 * 10 + 1.3388)),
    ("mayo", {"said": {"lobe": "upper", "margin": "spiculated"}}, of(-6.8272 + 0.0391 * 62 + 1.274 + 0.7838 + 1.0407)),
]


@pytest.mark.parametrize(("model", "given", "expected"), BY_HAND)
def test_a_model_is_its_coefficients(model: str, given, expected: float) -> None:
    low, high = percent(model, **given)
    assert low == high
    assert low == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("pet", "added"), [("none", 0), ("faint", 2.322), ("moderate", 4.617), ("intense", 4.771)])
def test_the_herder_model_starts_from_the_mayo_model(pet: str, added: float) -> None:
    mayo = percent("mayo")[0] / 100
    assert percent("herder", said=PLAIN | {"pet": pet})[0] == pytest.approx(of(-4.739 + 3.691 * mayo + added))


def test_what_is_not_known_gives_the_least_and_the_most_of_all_states() -> None:
    unknown = {"sex": None, "family_history": None}
    found = percent("brock_full", said={"lobe": "lower"}, error=1, **unknown)
    states = [
        percent("brock_full", long_mm=size, said={"lobe": "lower", "margin": margin}, sex=sex, family_history=family)[0]
        for size, margin, sex, family in itertools.product(
            (9, 10, 11), ("smooth", "spiculated"), ("male", "female"), (True, False)
        )
    ]
    assert found == pytest.approx((min(states), max(states)))


def test_what_would_narrow_a_risk_is_named() -> None:
    size = NoduleSize(long_mm=interval(10), attenuation="solid")
    found = risks(size, Reading(margin="smooth"), Patient(**(WHOLE | {"sex": None})))
    assert found["brock_full"].unknown == ("sex", "upper_lobe")


@pytest.mark.parametrize(
    ("model", "given", "reason"),
    [
        ("brock_full", {"age": None}, "age is not known"),
        ("mayo", {"cancer_history": "within_5_years"}, "a cancer in the last five years"),
        ("mayo", {"nodule_count": 2}, "solitary"),
        ("mayo", {"long_mm": 31}, "4 to 30 mm"),
        ("herder", {}, "no PET"),
        ("herder", {"said": PLAIN | {"pet": "faint"}, "age": None}, "Mayo model"),
    ],
)
def test_a_model_that_cannot_answer_says_why(model: str, given, reason: str) -> None:
    given = dict(given)
    size = NoduleSize(long_mm=interval(given.pop("long_mm", 10)), attenuation="solid")
    found = risks(size, Reading(**given.pop("said", PLAIN)), Patient(**(WHOLE | given)))[model]
    assert found.probability is None
    assert reason in found.reason
