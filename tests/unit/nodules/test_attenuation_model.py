"""The probability of an attenuation: probabilities, in the order that HU say, and from cases kept apart."""

import csv

import numpy as np
import pytest

from experiments.size_errors.attenuation import calibrated, fitted
from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from lungline.nodules.attenuation_model import (
    KINDS,
    attenuation_probabilities,
    features,
    packaged_model,
    scores,
    softmax,
)
from lungline.nodules.measurements import measure
from lungline.workflow.bundle import PACKAGED


def test_dense_cores_are_solid_and_faint_ones_ground_glass() -> None:
    kinds = []
    for core in ((-50, 20, 60), (-600, -350, 0), (-720, -650, -580)):
        chances = attenuation_probabilities(core)
        assert tuple(chances) == KINDS
        assert sum(chances.values()) == pytest.approx(1)
        kinds.append(chances)
    solid, between, faint = kinds
    assert max(solid, key=solid.__getitem__) == "solid"
    assert max(faint, key=faint.__getitem__) == "ground-glass"
    assert between["part-solid"] > max(solid["part-solid"], faint["part-solid"])
    assert attenuation_probabilities(()) == {}


def test_beyond_all_tissue_the_answer_does_not_run_away() -> None:
    assert attenuation_probabilities((900, 1500, 3000)) == attenuation_probabilities((1000, 2000, 3071))
    assert max(attenuation_probabilities((3071,) * 3).values()) < 0.9999


def test_a_measured_ball_of_ground_glass_has_its_core_in_the_model() -> None:
    z, y, x = np.indices((20, 20, 20)) - 10
    inside = z**2 + y**2 + x**2 < 36
    ct = Volume(np.where(inside, -620, -860).astype(np.float32), make_affine((1.0, 1.0, 1.0)))
    found = measure(ct, inside)
    assert found.core_percentiles_hu == (-620, -620, -620)
    chances = attenuation_probabilities(found.core_percentiles_hu)
    assert chances["ground-glass"] > 5 * attenuation_probabilities((-100, -100, -100))["ground-glass"]


def test_no_patient_both_fits_calibrates_or_checks() -> None:
    with open(PACKAGED.parent / "sources.csv", newline="", encoding="utf-8") as handle:
        split = {row["source"]: row["split"] for row in csv.DictReader(handle)}
    model = packaged_model()
    parts = [{name.split("_")[0] for name in model[part]} for part in ("fitted_on", "calibrated_on")]
    parts.append({name.split("_")[0] for name, part in split.items() if part == "test"})
    assert all(part for part in parts)
    assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]


def test_fit_and_calibration_find_what_they_were_made_from() -> None:
    rng, weights = np.random.default_rng(0), np.array([[0.0, -2, -2, 0], [0, 0, 0, 0], [0, 2, 2, 0]])
    numbers = features(rng.uniform(-800, 100, (3000, 3)))
    chances = softmax(scores(numbers, weights))
    kinds = np.array([rng.choice(3, p=chance) for chance in chances])
    found = fitted(numbers, kinds)
    assert found - found[1] == pytest.approx(weights, abs=0.6)
    temperature, shifts = calibrated(3 * scores(numbers, weights) - np.array([1.0, 0, 0]), kinds)
    assert temperature == pytest.approx(3, rel=0.2)
    assert shifts[0] == pytest.approx(1 / 3, abs=0.25)
