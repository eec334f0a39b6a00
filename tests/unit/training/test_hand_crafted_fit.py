"""How a network's logit and a candidate's hand-crafted features are weighed."""

import numpy as np
import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import features
from lungline.config.networks import CancerNetSpec
from lungline.training.hand_crafted_fit import fit_measured
from lungline.training.patients import PatientCubes
from lungline.training.validation import labels_and_logits

SIZE, CPU = 16, torch.device("cpu")


def network():
    """One that has learned nothing."""
    torch.manual_seed(0)
    return CancerNet(
        CancerNetSpec(shape_zyx=(SIZE,) * 3, channels=(4,) * 6, dense=16, norm="group", measured=True)
    ).eval()


def patients(seed, count=200):
    """Balls of several radii and densities; the larger, the more often malignant, and dense ones less often."""
    rng = np.random.default_rng(seed)
    away = np.linalg.norm(np.indices((SIZE,) * 3) - (SIZE - 1) / 2, axis=0)
    made = []
    for number in range(count):
        radius, hu = rng.uniform(2, 7), rng.uniform(0.4, 0.9)
        ball = away <= radius
        cube = np.stack([np.where(ball, hu, 0.1), ball * 1.0])[None].astype(np.float16)
        odds = 2 * (radius - 4.5) - 8 * (hu - 0.65)
        label = int(rng.random() < 1 / (1 + np.exp(-odds)))
        measured = features([ball.sum()], [1400 * hu - 1000], [0.0], [0.0])
        made.append(PatientCubes(str(number), label, cube, features=measured))
    return made


def loss(model, cases):
    labels, logits = labels_and_logits(model, cases, CPU)
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def test_unseen_patients_are_told_apart_better():
    model, unseen = network(), patients(2)
    before = loss(model, unseen)
    said = fit_measured(model, patients(1), CPU)
    assert before > 0.6
    assert loss(model, unseen) < 0.45
    assert said["log volume in mm3"] > 0 > said["mean HU, scaled"]
    assert said["root of the calcified share"] == 0  # none is calcified: nothing was learned of it


def test_no_other_weights_fit_better():
    model, cases = network(), patients(1)
    fit_measured(model, cases, CPU)
    assert model.measured is not None
    best = loss(model, cases)
    for weights in (model.measured.weight[0], model.measured.bias):
        for step in (-0.5, 0.5):
            weights += step
            assert loss(model, cases) > best
            weights -= step


def test_the_features_are_those_of_the_candidate_that_decides():
    cases = patients(1, 40)
    model = network()
    with torch.inference_mode():
        logits = [float(model(torch.from_numpy(case.cubes).float())) for case in cases]
    weakest = cases[int(np.argmin(logits))]
    with_another = [
        PatientCubes(
            case.scan,
            case.label,
            np.concatenate([weakest.cubes, case.cubes]),
            features=np.concatenate([weakest.features, case.features]),
        )
        for case in cases
    ]
    assert fit_measured(network(), with_another, CPU) == pytest.approx(fit_measured(model, cases, CPU), abs=1e-3)


def test_the_weights_travel_with_the_network():
    model, again = network(), network()
    fit_measured(model, patients(1, 40), CPU)
    again.load_state_dict(model.state_dict())
    assert loss(again, patients(3, 20)) == loss(model, patients(3, 20))
