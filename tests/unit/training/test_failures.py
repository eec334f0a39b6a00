"""Failed trainings are named, and good ones are not."""

import numpy as np
import pytest

from lungline.evaluation.cancer_metrics import learned_all_negative
from lungline.training.cancer_task import overfitted

LABELS = np.array([1, 0, 0, 0] * 5)


def look(train, valid):
    return {"step": 1, "train_loss": train, "valid_loss": valid}


def test_the_same_answer_to_everybody_is_named():
    probability = 0.25 + np.linspace(0, 0.019, 20)
    (flag,) = learned_all_negative(LABELS, probability, "test patients")
    assert flag.flag == "M_ALL_NEGATIVE"
    assert flag.detail == "20 test patients: probabilities span 0.019"


def test_all_negative_at_a_half_without_a_ranking_is_named():
    probability = np.tile([0.1, 0.2, 0.3, 0.4], 5)[::-1]
    probability = np.where(LABELS == 1, 0.1, probability)
    (flag,) = learned_all_negative(LABELS, probability, "test patients")
    assert "accuracy 0.750 is that of the majority class, ROC AUC 0." in flag.detail


@pytest.mark.parametrize(
    ("labels", "probability"),
    [
        (LABELS, np.where(LABELS == 1, 0.45, 0.1)),  # all below a half, but well ranked
        (LABELS, np.random.default_rng(0).random(20)),  # bad, but not all negative
        (np.array([1]), np.array([0.3])),
        (np.array([], int), np.array([])),
    ],
)
def test_other_answers_are_not_named(labels, probability):
    assert learned_all_negative(labels, probability, "patients") == []


def test_a_gap_between_training_and_validation_is_named_with_how_far_it_has_risen():
    (flag,) = overfitted([look(0.6, 0.5), look(0.01, 0.75)])
    assert flag.flag == "M_OVERFIT"
    assert flag.detail == "training loss 0.01, validation loss 0.75, 50 % above its best"


@pytest.mark.parametrize("last", [look(0.5, 0.9), look(0.01, 0.1), look(0.7, 0.6)])
def test_a_small_gap_is_not_named(last):
    assert overfitted([look(0.6, 0.5), last]) == []
