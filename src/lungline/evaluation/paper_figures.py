"""What the paper reports of each of its systems: the one place where its figures stand.

Source: Zhang, Bazaz, Fan, Shah, "Lung Cancer Detection from CT Scan Images Using Deep Convolutional Neural Networks"
(Boston University, 2017), sections 4 and 5. DSB-17: 1,397 patients to train (362 with cancer), 198 to test (57).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lungline.evaluation.intervals import Estimate, wilson

TEST_PATIENTS, TEST_CANCER = 198, 57


@dataclass(frozen=True)
class PaperFigure:
    """What a system is, and its result on the DSB-17 test patients in the paper's terms and, where given, in figures.

    `correct` is the number of patients on the right side of 0.5.
    """

    setting: str
    says: str
    log_loss: float | None = None
    correct: int | None = None

    @property
    def accuracy(self) -> Estimate:
        """Share of correct patients with Wilson's interval, which is ours: the paper gives none."""
        if self.correct is None:
            return Estimate(None, reason="the paper gives no figure")
        return wilson(self.correct, TEST_PATIENTS)


_ALL_NEGATIVE = TEST_PATIENTS - TEST_CANCER
_NOT_ABOVE = "test accuracy not above 71.2 %"

PAPER: Mapping[str, PaperFigure] = {
    "m1-full": PaperFigure(
        "whole volume, full size",
        "loss stays near 0.6; accuracy 74.1 % in training, 71.2 % in the test: all negative",
        correct=_ALL_NEGATIVE,
    ),
    "m1-64": PaperFigure(
        "whole volume at 64^3", "accuracy near 100 % in training, 71.2 % in the test", correct=_ALL_NEGATIVE
    ),
    "m1-64-l2": PaperFigure("m1-64 with more L2", _NOT_ABOVE),
    "m1-64-dropout": PaperFigure("m1-64 with dropout between the dense layers", _NOT_ABOVE),
    "m1-64-small": PaperFigure("m1-64 with a simpler model", _NOT_ABOVE),
    "m1-64-batchnorm": PaperFigure("m1-64 with batch norm after each convolution", _NOT_ABOVE),
    "m1-54-crops": PaperFigure("random 54^3 crops of the 64^3 volume", "still overfits"),
    "m2": PaperFigure("nodules first", "log loss 0.55, accuracy 76.7 % (152 of 198)", log_loss=0.55, correct=152),
    "all-negative": PaperFigure(
        "no cancer for everybody", "accuracy 74.1 % in training, 71.2 % in the test", correct=_ALL_NEGATIVE
    ),
    "constant-prior": PaperFigure(
        "the training patients' share of cancer for everybody",
        "not in the paper; log loss 0.602 follows from its numbers of patients",
        log_loss=0.602,
        correct=_ALL_NEGATIVE,
    ),
}
