"""Systems side by side on the same test patients, with the paper's figures and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation import cancer
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.paper_figures import PAPER, PaperFigure
from lungline.evaluation.patients import training_prior
from lungline.io.benchmarks import NOT_MEASURED, Cost
from lungline.io.predictions import Prediction

NOT_RUN = "not run"
Answers = Mapping[str, tuple[int, float]]  # scan -> label, probability


@dataclass(frozen=True)
class Compared:
    """One row of the comparison.

    Attributes
    ----------
    system, kind : str
    seed : int or None
        Of the training.
    data : str
        What it was scored on, and what it was not.
    answers : mapping of scan to (label, probability)
        The labelled test patients that it answered.
    unanswered : int
        Labelled test patients without an answer.
    metrics : mapping of str to Estimate
        By `cancer.METRICS`; empty when it was not run.
    detection : mapping of str to Estimate
        "cpm" and "recall" of its detector, where it has one.
    training : Cost
        Of its own training and that of its detector.
    paper : PaperFigure or None
    differences : mapping of str to Estimate
        Metrics minus those of the reference, on the patients that both answered.
    """

    system: str
    kind: str = ""
    seed: int | None = None
    data: str = NOT_RUN
    answers: Answers = field(default_factory=dict, repr=False)
    unanswered: int = 0
    metrics: Mapping[str, Estimate] = field(default_factory=dict)
    detection: Mapping[str, Estimate] = field(default_factory=dict)
    training: Cost = NOT_MEASURED
    paper: PaperFigure | None = None
    differences: Mapping[str, Estimate] = field(default_factory=dict)


def where_run(datasets: set[str], embedded: bool | None) -> str:
    """What a row was scored on: the reader must see that other data are not DSB-17."""
    if embedded:
        return f"embedded cohort; DSB-17: {NOT_RUN}"
    return "DSB-17" if datasets == {"dsb17"} else f"scans given by the user; DSB-17: {NOT_RUN}"


def measured(
    system: str,
    rows: Sequence[Prediction],
    *,
    embedded: bool | None,
    kind: str = "",
    seed: int | None = None,
    detection: Mapping[str, Estimate] | None = None,
    training: Cost = NOT_MEASURED,
) -> Compared:
    """The row of a system whose predictions are known; only its test patients count."""
    test = [row for row in rows if row.split == "test" and row.label is not None]
    answers = {r.scan: (r.label, r.probability) for r in test if r.label is not None and r.probability is not None}
    return Compared(
        system,
        kind,
        seed,
        data=where_run({row.dataset for row in test}, embedded),
        answers=answers,
        unanswered=len(test) - len(answers),
        metrics=cancer.measure(*_columns(answers, answers)),
        detection=detection or {},
        training=training,
        paper=PAPER.get(system),
    )


def constant_rows(rows: Sequence[Prediction], *, embedded: bool | None) -> list[Compared]:
    """What needs no picture, on the same patients: "no cancer" and the training patients' prior for everybody."""
    prior = training_prior([row for row in rows if row.split != "test"])
    said = {"all-negative": 0.0, "constant-prior": prior}
    return [
        measured(
            name,
            [replace(row, probability=value) for row in rows if row.probability is not None],
            embedded=embedded,
            kind="constant",
        )
        for name, value in said.items()
        if value is not None
    ]


def complete(rows: Sequence[Compared]) -> list[Compared]:
    """The paper's systems in its order, those that were not run included; then all others."""
    run = {row.system: row for row in rows}
    papers = [run.get(name, Compared(name, paper=figure)) for name, figure in PAPER.items()]
    return [*papers, *(row for row in rows if row.system not in PAPER)]


def against(rows: Sequence[Compared], reference: str) -> list[Compared]:
    """The rows with their differences from the row `reference`; that row and those not run have none."""
    other = next(row for row in rows if row.system == reference)
    return [
        row if row is other or not row.metrics else replace(row, differences=_differences(row.answers, other.answers))
        for row in rows
    ]


def _differences(answers: Answers, others: Answers) -> dict[str, Estimate]:
    both = sorted(answers.keys() & others.keys())
    labels, probability = _columns(answers, both)
    return cancer.differences(labels, probability, _columns(others, both)[1])


def _columns(answers: Answers, scans: Sequence[str] | Answers) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    pairs = [answers[scan] for scan in scans]
    return np.array([y for y, _ in pairs], dtype=np.int64), np.array([p for _, p in pairs], dtype=np.float64)
