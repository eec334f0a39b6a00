"""What the out-of-fold answers amount to, with intervals, and the table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.evaluation.auc import auc, auc_difference
from lungline.evaluation.intervals import Estimate, bootstrap, resamples

OverPatients = Callable[[Sequence["Answer"], Callable[[NDArray[np.int64]], float]], Estimate]

ROUNDS = 1000
SMALL_MM = 8.0
#: How each predictor of malignancy is called in the table, by the field of `Answer` that holds it.
PREDICTORS = {
    "diameter_mm": "diameter of the table",
    "mask_ml": "volume of the readers' mask",
    "found_ml": "volume that the U-Net found",
    "network_logit": "cancer network",
    "combined_logit": "cancer network and diameter",
    "descriptors_logit": "descriptors of the readers' mask",
    "found_descriptors_logit": "descriptors of what the U-Net found",
    "together_logit": "cancer network and descriptors of the readers' mask",
}


@dataclass(frozen=True)
class Answer:
    """What was said of one nodule by networks that were neither trained nor chosen on its patient."""

    nodule: str
    patient: str
    fold: int
    malignant: int
    diameter_mm: float
    mask_ml: float
    found_ml: float
    dice: float
    network_logit: float
    combined_logit: float
    descriptors_logit: float
    found_descriptors_logit: float
    together_logit: float


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    value, by_patient : Estimate
        With DeLong's interval, which takes nodules for independent (none for Dice), and with one over patients.
    difference, difference_by_patient : Estimate
        From the diameter of the table, on the same nodules.
    """

    nodules: str
    figure: str
    count: int
    value: Estimate
    by_patient: Estimate
    difference: Estimate
    difference_by_patient: Estimate

    def as_json(self) -> dict[str, Any]:
        """The same as a JSON object."""
        return asdict(self)


def refuse_twice(answers: Sequence[Answer]) -> None:
    """`LunglineError` if a nodule was answered twice: it stood in two test folds."""
    names = [answer.nodule for answer in answers]
    if len(set(names)) < len(names):
        raise LunglineError(f"{len(names) - len(set(names))} nodules have more than one answer. Test each fold once.")


def measure(answers: Sequence[Answer], *, steering_fold: int, seed: int, rounds: int = ROUNDS) -> list[Line]:
    """Dice, and the AUC of every predictor: of all nodules, of small and large ones, and of those that steered nothing.

    Parameters
    ----------
    answers : sequence of Answer
    steering_fold : int
        The fold on which settings were tried out before this run.
    """
    refuse_twice(answers)
    parts: dict[str, Callable[[Answer], bool]] = {
        "all": lambda _: True,
        f"up to {SMALL_MM:.0f} mm": lambda answer: answer.diameter_mm <= SMALL_MM,
        f"over {SMALL_MM:.0f} mm": lambda answer: answer.diameter_mm > SMALL_MM,
        f"all but fold {steering_fold}": lambda answer: answer.fold != steering_fold,
    }
    drawn = partial(over_patients, seed=seed, rounds=rounds)
    lines = []
    for name, belongs in parts.items():
        own = [answer for answer in answers if belongs(answer)]
        if own:
            lines += [_dice(name, own, drawn), *_malignancy(name, own, drawn)]
    return lines


def _dice(part: str, answers: Sequence[Answer], drawn: OverPatients) -> Line:
    dice = np.array([answer.dice for answer in answers])
    nothing = Estimate(None)
    mean = drawn(answers, lambda chosen: float(dice[chosen].mean()))
    return Line(part, "Dice", len(answers), nothing, mean, nothing, nothing)


def _malignancy(part: str, answers: Sequence[Answer], drawn: OverPatients) -> list[Line]:
    labels = np.array([answer.malignant for answer in answers])
    scores = {name: np.array([getattr(answer, name) for answer in answers]) for name in PREDICTORS}
    ruler = scores.pop("diameter_mm")
    nothing = Estimate(None)

    def line(name: str, own: NDArray[np.float64], *differences: Estimate) -> Line:
        over = drawn(answers, lambda chosen: _value(auc(labels[chosen], own[chosen])))
        return Line(part, f"AUC, {PREDICTORS[name]}", len(answers), auc(labels, own), over, *differences)

    def compared(name: str, own: NDArray[np.float64]) -> Line:
        over = drawn(answers, lambda chosen: _value(auc_difference(labels[chosen], own[chosen], ruler[chosen])))
        return line(name, own, auc_difference(labels, own, ruler), over)

    return [line("diameter_mm", ruler, nothing, nothing), *(compared(name, own) for name, own in scores.items())]


def _value(estimate: Estimate) -> float:
    return float("nan") if estimate.value is None else estimate.value


class OfPatient(Protocol):
    """Whatever belongs to a patient."""

    @property
    def patient(self) -> str: ...


def over_patients(
    answers: Sequence[OfPatient], statistic: Callable[[NDArray[np.int64]], float], *, seed: int, rounds: int
) -> Estimate:
    """Bootstrap interval: patients are drawn, each with all of his nodules, since those are alike."""
    value = statistic(np.arange(len(answers)))
    if not np.isfinite(value):
        return Estimate(None, reason="all nodules have one class")
    patients = np.array([answer.patient for answer in answers])
    members = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    draws = resamples(len(members), rounds=rounds, seed=seed)
    found = bootstrap(value, draws, lambda draw: statistic(np.concatenate([members[i] for i in draw])))
    if found.low is not None and not np.isfinite(found.low):
        return Estimate(value, reason="in some draws all nodules have one class")
    return found


def table(lines: Sequence[Line]) -> str:
    """Markdown."""
    columns = ("nodules", "n", "figure", "value (DeLong)", "over patients", "minus diameter (DeLong)", "over patients")
    rows = [
        (
            line.nodules,
            str(line.count),
            line.figure,
            *map(str, (line.value, line.by_patient, line.difference, line.difference_by_patient)),
        )
        for line in lines
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (columns, ("---",) * len(columns), *rows)) + "\n"


def columns_of_answers() -> list[str]:
    """The columns of `answers.csv`."""
    return [field.name for field in fields(Answer)]
