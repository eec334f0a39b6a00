"""Logistic regression does not depend on units; scale, shift and weights of features are fitted on few patients."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import features
from lungline.config.networks import CancerNetSpec
from lungline.evaluation.cancer_metrics import log_loss
from lungline.training.calibration import fit_hand_crafted, fit_scale_and_shift, interval_of, regress, resampled_fits
from lungline.training.patients import PatientCubes, labels_and_logits

SIZE, CPU = 16, torch.device("cpu")
RNG = np.random.default_rng(1)
COLUMNS = RNG.normal(size=(200, 3)) * [1.0, 5.0, 0.2] + [0.0, 40.0, -3.0]
LABELS = (RNG.random(200) < 1 / (1 + np.exp(-COLUMNS @ [1.0, -0.3, 4.0] - 24))).astype(np.int64)


def test_it_is_that_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    theirs = LogisticRegression(C=1e6, tol=1e-10, max_iter=10_000).fit(COLUMNS, LABELS)
    mine = regress(LABELS, COLUMNS)
    np.testing.assert_allclose(mine.weights, theirs.coef_[0], rtol=0.01)
    np.testing.assert_allclose(mine.logits(COLUMNS), theirs.decision_function(COLUMNS), atol=0.05)


def test_units_change_the_weights_and_not_the_logits() -> None:
    units, zeros = np.array([0.001, 1000.0, 10.0]), np.array([1.0, 273.15, -7.0])
    told = np.array([1.0, 0.0, 2.0])
    mine = regress(LABELS, COLUMNS, about=told)
    other = regress(LABELS, COLUMNS * units + zeros, about=told / units)
    np.testing.assert_allclose(other.weights * units, mine.weights, rtol=1e-6)
    np.testing.assert_allclose(other.logits(COLUMNS * units + zeros), mine.logits(COLUMNS), atol=1e-6)


def test_a_column_that_never_changes_tells_nothing() -> None:
    flat = np.column_stack([COLUMNS, np.full(200, 7.0)])
    mine = regress(LABELS, flat)
    assert mine.weights[-1] == 0.0
    np.testing.assert_allclose(mine.logits(flat), regress(LABELS, COLUMNS).logits(COLUMNS), atol=1e-9)


def test_the_prior_holds_the_weights_where_labels_are_told_apart_without_a_mistake() -> None:
    column = np.array([[-1.0], [1.0], [-1.0], [1.0]])
    labels = np.array([0, 1, 0, 1])
    assert regress(labels, column, about=np.array([30.0])).weights[0] > 29.9
    assert 0 < regress(labels, column).weights[0] < 30


def test_a_scale_and_a_shift_are_found_again():
    rng = np.random.default_rng(1)
    true = rng.normal(0, 2, 20_000)
    labels = (rng.random(len(true)) < expit(true)).astype(np.int64)
    scale, shift = fit_scale_and_shift(labels, (true - 0.5) / 0.4)
    assert (scale, shift) == pytest.approx((0.4, 0.5), abs=0.05)


def test_it_is_the_most_probable_answer():
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 3, 30)
    labels = (rng.random(30) < expit(0.3 * logits - 1)).astype(np.int64)

    def loss(theta):
        s = theta[0] * logits + theta[1]
        return np.sum(np.logaddexp(0, s) - labels * s) + 2 * (theta[0] - 1) ** 2 + theta[1] ** 2 / 2

    best = minimize(loss, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9})
    assert fit_scale_and_shift(labels, logits) == pytest.approx(tuple(best.x), abs=1e-5)


def test_patients_told_apart_without_a_mistake_stay_finite_and_few_change_little():
    labels, logits = np.array([0, 0, 1, 1]), np.array([-30.0, -20.0, 20.0, 30.0])
    assert fit_scale_and_shift(labels, logits) == pytest.approx((1.0, 0.0), abs=0.01)
    scale, shift = fit_scale_and_shift(np.array([1]), np.array([-3.0]))
    assert 0.2 < scale < 1
    assert 0 < shift < 1


def test_overconfident_logits_are_made_less_so():
    rng = np.random.default_rng(3)
    true = rng.normal(0, 1, 60)
    labels = (rng.random(60) < expit(true)).astype(np.int64)
    scale, shift = fit_scale_and_shift(labels, 6 * true)
    assert scale < 0.6
    assert log_loss(labels, expit(scale * 6 * true + shift)) < log_loss(labels, expit(6 * true))


def test_the_interval_covers_what_other_cases_would_have_said():
    rng = np.random.default_rng(3)
    covered = 0
    for trial in range(100):
        logits = rng.normal(0, 2, 60)
        labels = (rng.random(60) < expit(0.8 * logits - 0.3)).astype(np.int64)
        low, high = interval_of(1.0, np.array(resampled_fits(labels, logits, seed=trial)))
        covered += low <= expit(0.5) <= high
    assert covered >= 88


def test_more_cases_make_it_narrower_and_the_same_cases_the_same():
    rng = np.random.default_rng(4)
    widths = []
    for n in (20, 200, 2000):
        logits = rng.normal(0, 2, n)
        labels = (rng.random(n) < expit(logits)).astype(np.int64)
        fits = resampled_fits(labels, logits, seed=1)
        assert fits == resampled_fits(labels, logits, seed=1)
        low, high = interval_of(0.3, np.array(fits))
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


def network():
    """One that has learned nothing."""
    torch.manual_seed(0)
    return CancerNet(
        CancerNetSpec(shape_zyx=(SIZE,) * 3, channels=(4,) * 6, dense=16, norm="group", hand_crafted_features=True)
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
    said = fit_hand_crafted(model, patients(1), CPU)
    assert before > 0.6
    assert loss(model, unseen) < 0.45
    assert said["log volume in mm3"] > 0 > said["mean HU, scaled"]
    assert said["root of the calcified share"] == 0  # none is calcified: nothing was learned of it


def test_no_other_weights_fit_better():
    model, cases = network(), patients(1)
    fit_hand_crafted(model, cases, CPU)
    assert model.hand_crafted_features is not None
    best = loss(model, cases)
    for weights in (model.hand_crafted_features.weight[0], model.hand_crafted_features.bias):
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
    assert fit_hand_crafted(network(), with_another, CPU) == pytest.approx(
        fit_hand_crafted(model, cases, CPU), abs=1e-3
    )


def test_the_weights_travel_with_the_network():
    model, again = network(), network()
    fit_hand_crafted(model, patients(1, 40), CPU)
    again.load_state_dict(model.state_dict())
    assert loss(again, patients(3, 20)) == loss(model, patients(3, 20))
