"""What is chosen is chosen without the test split."""

import pytest

from lungline.errors import LunglineError
from lungline.evaluation.patient_metrics import training_prior
from lungline.splits import refuse_test_rows, split_of_luna_fold
from lungline.storage.predictions import Prediction
from lungline.storage.scan_rows import ScanRow


def test_the_guard_fires_for_a_single_test_row_and_says_what_would_have_been_chosen():
    rows = [ScanRow("a", "mhd", "luna16", "train"), ScanRow("b", "mhd", "luna16", "test")]
    with pytest.raises(LunglineError, match="the threshold would be chosen by looking at 1 rows of the test split"):
        refuse_test_rows(rows, "the threshold")
    refuse_test_rows(rows[:1], "the threshold")


def test_the_prior_cannot_be_taken_from_test_patients():
    rows = [Prediction(split, "dsb17", split, label, 0.5, "ok") for split, label in (("train", 1), ("valid", 0))]
    assert training_prior(rows) == 0.5
    with pytest.raises(LunglineError, match="the constant prior would be chosen"):
        training_prior([*rows, Prediction("test", "dsb17", "test", 0, 0.5, "ok")])


def test_without_a_word_subset_9_is_the_test_and_subset_8_is_for_validation():
    assert [split_of_luna_fold(fold) for fold in (0, 7, 8, 9)] == ["train", "train", "valid", "test"]


@pytest.mark.parametrize("held_out", range(10))
def test_each_fold_has_one_test_and_another_validation_subset(held_out):
    splits = [split_of_luna_fold(fold, held_out) for fold in range(10)]
    assert splits[held_out] == "test"
    assert splits[held_out - 1] == "valid"
    assert splits.count("train") == 8
