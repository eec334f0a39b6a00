"""Systems side by side on the same test patients, with the paper's figures and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation import cancer_metrics
from lungline.evaluation.froc import ScanScore, mean_cpm
from lungline.evaluation.intervals import Estimate
from lungline.evaluation.paper_figures import PAPER, PaperFigure
from lungline.evaluation.patient_metrics import training_prior
from lungline.storage.frames import NOT_MEASURED, Cost
from lungline.storage.predictions import Prediction

NOT_RUN = "not run"
Answers = Mapping[str, tuple[int, tuple[float, ...]]]  # scan -> label, probability that each training gives
Found = Mapping[str, ScanScore]  # scan -> the marks of a detector, matched


@dataclass(frozen=True)
class Compared:
    """One row of the comparison: a system, or the mean of several trainings of one.

    Attributes
    ----------
    system, kind : str
    seed : str
        Of the training, or of all trainings.
    data : str
        What it was scored on, and what it was not.
    answers : mapping of scan to (label, probabilities)
        The labelled test patients that it answered, in every training.
    found : tuple of mappings of scan to ScanScore
        What its detector found in the annotated test scans, in every training.
    unanswered : int
        Labelled test patients without an answer.
    metrics : mapping of str to Estimate
        By `cancer_metrics.METRICS`; empty when it was not run.
    detection : mapping of str to Estimate
        "cpm" and "recall" of its detector, where it has one.
    training : Cost
        Of its own training and that of its detector.
    paper : PaperFigure or None
    differences : mapping of str to Estimate
        Metrics and CPM minus those of the reference, on the patients that both answered.
    """

    system: str
    kind: str = ""
    seed: str = ""
    data: str = NOT_RUN
    answers: Answers = field(default_factory=dict, repr=False)
    found: tuple[Found, ...] = field(default=(), repr=False)
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
    seed: str = "",
    found: Found | None = None,
    detection: Mapping[str, Estimate] | None = None,
    training: Cost = NOT_MEASURED,
) -> Compared:
    """The row of a system whose predictions are known; only its test patients count."""
    test = [row for row in rows if row.split == "test" and row.label is not None]
    answers = {r.scan: (r.label, (r.probability,)) for r in test if r.label is not None and r.probability is not None}
    return Compared(
        system,
        kind,
        seed,
        data=where_run({row.dataset for row in test}, embedded),
        answers=answers,
        found=() if found is None else (found,),
        unanswered=len(test) - len(answers),
        metrics=cancer_metrics.measure(*_columns(answers, answers)),
        detection=detection or {},
        training=training,
        paper=PAPER.get(system),
    )


def averaged(rows: Sequence[Compared]) -> Compared:
    """The mean of several trainings of one system, over the patients that all of them answered."""
    first = rows[0]
    everybody = set.intersection(*(set(row.answers) for row in rows))
    answers = {
        scan: (label, tuple(p for row in rows for p in row.answers[scan][1]))
        for scan, (label, _) in first.answers.items()
        if scan in everybody
    }
    found = tuple(part for row in rows for part in row.found)
    return Compared(
        f"{first.system}, mean of {len(rows)}",
        first.kind,
        ", ".join(row.seed for row in rows),
        first.data,
        answers,
        found,
        unanswered=len(first.answers) + first.unanswered - len(answers),
        metrics=cancer_metrics.measure(*_columns(answers, answers)),
        detection={"cpm": mean_cpm([list(one.values()) for one in found])} if found else {},
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


def against(rows: Sequence[Compared], reference: Compared) -> list[Compared]:
    """The rows with their differences from the row `reference`; that row and those not run have none."""
    return [
        row if row is reference or not row.metrics else replace(row, differences=_differences(row, reference))
        for row in rows
    ]


def _differences(row: Compared, other: Compared) -> dict[str, Estimate]:
    both = sorted(row.answers.keys() & other.answers.keys())
    labels, probability = _columns(row.answers, both)
    differences = cancer_metrics.differences(labels, probability, _columns(other.answers, both)[1])
    if row.found and other.found and row.found[0].keys() == other.found[0].keys():
        runs, others = ([[one[scan] for scan in row.found[0]] for one in some.found] for some in (row, other))
        differences["cpm"] = mean_cpm(runs, others)
    return differences


def _columns(answers: Answers, scans: Sequence[str] | Answers) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels (n,), and probabilities (n,) of one training or (k, n) of several."""
    pairs = [answers[scan] for scan in scans]
    if not pairs:
        return np.empty(0, dtype=np.int64), np.empty(0)
    labels = np.array([y for y, _ in pairs], dtype=np.int64)
    probability = np.array([p for _, p in pairs], dtype=np.float64).T
    return labels, probability[0] if len(probability) == 1 else probability
