"""Classifiers side by side on the same test patients, with paired differences and the figures of the paper.

The paper: Zhang, Bazaz, Fan, Shah, "Lung Cancer Detection from CT Scan Images Using Deep Convolutional Neural Networks"
(Boston University, 2017), sections 4 and 5. DSB-17: 1,397 patients to train (362 with cancer), 198 to test (57).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungline.evaluation import cancer_metrics
from lungline.evaluation.free_response import ScanScore, mean_cpm
from lungline.evaluation.intervals import Estimate, wilson
from lungline.evaluation.patient_metrics import scored, training_prior
from lungline.storage.frames import NOT_MEASURED, Cost
from lungline.storage.predictions import Prediction

TEST_PATIENTS, TEST_CANCER = 198, 57
NOT_RUN = "not run"
Found = Mapping[str, ScanScore]  # scan -> the marks of a detector, matched


@dataclass(frozen=True)
class PaperFigure:
    """What a classifier is, and its result on the DSB-17 test patients in the paper's terms and, where given, in
    figures.

    `correct` is the number of patients on the right side of 0.5.
    """

    setting: str
    reports: str
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


@dataclass(frozen=True)
class Compared:
    """One row of the comparison: a classifier, or the mean of several trainings of one, with all their seeds."""

    classifier: str
    kind: str = ""
    seed: str = ""
    data: str = NOT_RUN  # what it was scored on, and what it was not
    #: The labelled test patients that it answered, in every training: by scan `label`, then a score per training.
    answers: pd.DataFrame = field(default_factory=lambda: pd.DataFrame({"label": []}), repr=False)
    found: tuple[Found, ...] = field(default=(), repr=False)  # in the annotated test scans, in every training
    unanswered: int = 0  # labelled test patients without an answer
    metrics: Mapping[str, Estimate] = field(default_factory=dict)  # by `cancer_metrics.METRICS`; none if not run
    detection: Mapping[str, Estimate] = field(default_factory=dict)  # "cpm" and "recall" of its detector, if it has one
    training: Cost = NOT_MEASURED  # of its own training and that of its detector
    paper: PaperFigure | None = None
    #: Metrics and CPM minus those of the reference, on the patients that both answered.
    differences: Mapping[str, Estimate] = field(default_factory=dict)


def measured(
    classifier: str,
    rows: Sequence[Prediction],
    *,
    synthetic: bool | None,
    kind: str = "",
    seed: str = "",
    found: Found | None = None,
    detection: Mapping[str, Estimate] | None = None,
    training: Cost = NOT_MEASURED,
) -> Compared:
    """The row of a classifier whose predictions are known; only its test patients count."""
    test = [row for row in rows if row.split == "test" and row.label is not None]
    answers = scored(rows, "test")
    others = f"{'synthetic cohort' if synthetic else 'scans given by the user'}; DSB-17: {NOT_RUN}"
    return Compared(
        classifier,
        kind,
        seed,
        data="DSB-17" if {row.dataset for row in test} == {"dsb17"} and not synthetic else others,
        answers=answers,
        found=() if found is None else (found,),
        unanswered=len(test) - len(answers),
        metrics=cancer_metrics.measure(answers["label"], _scores(answers)),
        detection=detection or {},
        training=training,
        paper=PAPER.get(classifier),
    )


def averaged(rows: Sequence[Compared]) -> Compared:
    """The mean of several trainings of one classifier, over the patients that all of them answered."""
    first = rows[0]
    answers = pd.concat([first.answers, *(row.answers.drop(columns="label") for row in rows[1:])], axis=1, join="inner")
    found = tuple(part for row in rows for part in row.found)
    return Compared(
        f"{first.classifier}, mean of {len(rows)}",
        first.kind,
        ", ".join(row.seed for row in rows),
        first.data,
        answers,
        found,
        unanswered=len(first.answers) + first.unanswered - len(answers),
        metrics=cancer_metrics.measure(answers["label"], _scores(answers)),
        detection={"cpm": mean_cpm([list(one.values()) for one in found])} if found else {},
    )


def constant_rows(rows: Sequence[Prediction], *, synthetic: bool | None) -> list[Compared]:
    """Rows of two baselines on the same patients: 0 for everybody, and the training patients' share of cancer."""
    answered = [row for row in rows if row.score is not None]
    constants = {"all-negative": 0.0, "constant-prior": training_prior([row for row in rows if row.split != "test"])}
    return [
        measured(
            name,
            [replace(row, cancer_probability=value, malignancy_score=None) for row in answered],
            synthetic=synthetic,
            kind="baseline",
        )
        for name, value in constants.items()
        if value is not None
    ]


def complete(rows: Sequence[Compared]) -> list[Compared]:
    """The paper's classifiers in its order, those that were not run included; then all others."""
    run = {row.classifier: row for row in rows}
    papers = [run.get(name, Compared(name, paper=figure)) for name, figure in PAPER.items()]
    return [*papers, *(row for row in rows if row.classifier not in PAPER)]


def against(rows: Sequence[Compared], reference: Compared) -> list[Compared]:
    """The rows with their differences from the row `reference`; that row and those not run have none."""
    return [
        row if row is reference or not row.metrics else replace(row, differences=_differences(row, reference))
        for row in rows
    ]


def _differences(row: Compared, other: Compared) -> dict[str, Estimate]:
    both = sorted(row.answers.index.intersection(other.answers.index))
    own, others = row.answers.loc[both], other.answers.loc[both]
    differences = cancer_metrics.measure(own["label"], _scores(own), minus=_scores(others))
    if row.found and other.found and row.found[0].keys() == other.found[0].keys():
        runs, minus = ([[one[scan] for scan in row.found[0]] for one in some.found] for some in (row, other))
        differences["cpm"] = mean_cpm(runs, minus)
    return differences


def _scores(answers: pd.DataFrame) -> NDArray[np.float64]:
    """Scores (n,) of one training, or (k, n) of several."""
    scores = answers.drop(columns="label").to_numpy(np.float64).T
    return scores[0] if len(scores) == 1 else np.ascontiguousarray(scores)
