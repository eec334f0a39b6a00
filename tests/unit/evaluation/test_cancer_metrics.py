"""Every metric against scikit-learn or a case computed by hand."""

import math

import numpy as np
import pytest
import sklearn.metrics

from lungline.errors import LunglineError
from lungline.evaluation import cancer_metrics
from lungline.evaluation.intervals import resamples

Y = np.array([1, 0, 1, 0, 0])
P = np.array([0.9, 0.2, 0.4, 0.6, 0.0])


def test_log_loss_by_hand():
    wanted = -(math.log(0.9) + math.log(0.8) + math.log(0.4) + math.log(0.4) + math.log(1 - 1e-15)) / 5
    assert cancer_metrics.log_loss(Y, P) == pytest.approx(wanted, abs=1e-12)


def test_log_loss_clips_at_the_competitions_limit():
    assert cancer_metrics.log_loss(np.array([1]), np.array([0.0])) == pytest.approx(-math.log(1e-15))
    assert cancer_metrics.log_loss(np.array([0]), np.array([1.0])) == pytest.approx(-math.log(1e-15), rel=1e-2)


def test_log_loss_and_brier_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    y, p = (rng.random(80) < 0.3).astype(int), rng.random(80)
    assert cancer_metrics.log_loss(y, p) == pytest.approx(sklearn.metrics.log_loss(y, p), abs=1e-12)
    assert cancer_metrics.brier(y, p) == pytest.approx(sklearn.metrics.brier_score_loss(y, p), abs=1e-12)


def test_the_papers_constant_prior_scores_0_602():
    y = np.array([1] * 57 + [0] * 141)
    assert cancer_metrics.log_loss(y, np.full(198, 362 / 1397)) == pytest.approx(0.602, abs=5e-4)


def test_reliability_table_by_hand():
    table = cancer_metrics.reliability(np.array([0, 1, 1, 1]), np.array([0.1, 0.15, 0.95, 1.0]))
    assert [row.n for row in table] == [0, 2, 0, 0, 0, 0, 0, 0, 0, 2]
    assert table[1].mean_probability == pytest.approx(0.125)
    assert table[1].share_positive == 0.5
    assert table[9].mean_probability == pytest.approx(0.975)
    assert table[0].mean_probability is None


def test_calibration_error_by_hand():
    error = cancer_metrics.calibration_error(np.array([0, 1, 1, 1]), np.array([0.1, 0.15, 0.95, 1.0]))
    assert error == pytest.approx(0.5 * (0.5 - 0.125) + 0.5 * (1 - 0.975))


def test_calibration_error_of_true_probabilities_is_small_and_of_false_ones_large():
    rng = np.random.default_rng(0)
    p = rng.random(20_000)
    y = (rng.random(20_000) < p).astype(int)
    assert cancer_metrics.calibration_error(y, p) < 0.02
    assert cancer_metrics.calibration_error(y, 1 - p) > 0.4


def test_accuracy_counts_a_half_as_positive():
    assert cancer_metrics.measure([1, 0], [0.5, 0.5])["accuracy"].value == 0.5
    assert cancer_metrics.measure(Y, P)["accuracy"].value == pytest.approx(3 / 5)


def test_every_metric_has_an_interval_around_its_value():
    rng = np.random.default_rng(2)
    y = (rng.random(60) < 0.4).astype(int)
    for name, estimate in cancer_metrics.measure(y, np.clip(0.3 * y + 0.6 * rng.random(60), 0, 1)).items():
        assert estimate.low is not None, name
        assert estimate.low < estimate.high
        if name != "calibration_error":  # the bootstrap of an absolute value is biased upwards
            assert estimate.low <= estimate.value <= estimate.high


def test_intervals_are_repeatable_and_depend_on_the_seed():
    y, p = np.tile(Y, 6), np.tile(P, 6)
    assert cancer_metrics.measure(y, p, seed=1) == cancer_metrics.measure(y, p, seed=1)
    assert cancer_metrics.measure(y, p, seed=1)["brier"] != cancer_metrics.measure(y, p, seed=2)["brier"]


@pytest.mark.parametrize(("labels", "p"), [([], []), ([1], [0.3]), ([0, 0], [0.1, 0.2])])
def test_too_few_patients_give_reasons_instead_of_a_crash(labels, p):
    metrics = cancer_metrics.measure(labels, p)
    assert set(metrics) == set(cancer_metrics.METRICS)
    assert metrics["auc"].value is None
    assert metrics["auc"].reason
    assert len(cancer_metrics.reliability(np.array(labels, int), np.array(p, float))) == 10


def test_baselines_are_nobody_and_the_prior():
    y = [1] * 57 + [0] * 141
    table = cancer_metrics.baselines(y, 362 / 1397)
    assert table["all_negative"]["accuracy"]["value"] == pytest.approx(0.712, abs=5e-4)
    assert table["constant_prior"]["log_loss"]["value"] == pytest.approx(0.602, abs=5e-4)
    assert table["constant_prior"]["auc"]["value"] == 0.5


def test_without_training_labels_there_is_no_prior_but_a_reason():
    table = cancer_metrics.baselines([0, 1], None)
    assert table["constant_prior"]["probability"] is None
    assert table["constant_prior"]["reason"]


@pytest.mark.parametrize(
    ("labels", "p", "word"),
    [
        ([0, 2], [0.1, 0.2], "0 or 1"),
        ([0, 1], [0.1, 1.2], "0..1"),
        ([0, 1], [0.1, np.nan], "0..1"),
        ([0], [0.1, 0.2], "as many"),
    ],
)
def test_impossible_input_is_refused(labels, p, word):
    with pytest.raises(LunglineError, match=word):
        cancer_metrics.measure(labels, p)


def two_classifiers(n=80):
    rng = np.random.default_rng(4)
    y = rng.integers(0, 2, n)
    good, poor = (np.clip(0.5 + weight * (y - 0.5) + rng.normal(0, 0.1, n), 0.01, 0.99) for weight in (0.6, 0.2))
    return y, good, poor


def test_differences_are_those_of_the_metrics_and_change_sign_with_the_order():
    y, good, poor = two_classifiers()
    one, other = cancer_metrics.measure(y, good), cancer_metrics.measure(y, poor)
    there, back = cancer_metrics.measure(y, good, minus=poor), cancer_metrics.measure(y, poor, minus=good)
    for name in cancer_metrics.METRICS:
        assert there[name].value == pytest.approx(one[name].value - other[name].value)
        assert (back[name].low, back[name].high) == pytest.approx((-there[name].high, -there[name].low))


def test_a_paired_draw_keeps_both_answers_of_a_patient():
    y, good, poor = two_classifiers(30)
    replicates = [
        cancer_metrics.brier(y[i], good[i]) - cancer_metrics.brier(y[i], poor[i])
        for i in resamples(30, rounds=50, seed=7)
    ]
    interval = cancer_metrics.measure(y, good, minus=poor, seed=7, rounds=50)["brier"]
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(replicates, [0.025, 0.975])))


def test_a_paired_interval_is_narrower_than_two_separate_ones_suggest():
    y, good, _ = two_classifiers()
    nearly = np.clip(good - 0.01, 0, 1)
    paired, alone = (
        cancer_metrics.measure(y, good, minus=nearly)["log_loss"],
        cancer_metrics.measure(y, good)["log_loss"],
    )
    assert paired.high - paired.low < 0.3 * (alone.high - alone.low)


def test_a_classifier_does_not_differ_from_itself():
    y, good, _ = two_classifiers()
    same = cancer_metrics.measure(y, good, minus=good)
    assert {name: same[name].value for name in cancer_metrics.METRICS} == dict.fromkeys(cancer_metrics.METRICS, 0.0)
    assert (same["log_loss"].low, same["log_loss"].high) == (0.0, 0.0)


def test_differences_of_no_case_have_a_reason_and_unequal_numbers_are_refused():
    assert cancer_metrics.measure([], [], minus=[])["auc"].reason
    with pytest.raises(LunglineError, match="as many"):
        cancer_metrics.measure([0, 1], [0.1, 0.2], minus=[0.3])
