"""The tables of answers: what a system says of each patient, and `predictions.csv`, one row for every scan."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from lungline.errors import LunglineError
from lungline.storage.checksums import write_sealed_text
from lungline.storage.manifest import ScanRow, small_number
from lungline.storage.tables import read_rows, table_text

STATUSES = ("ok", "warned", "quarantined", "not-scored")
NOT_SCORED_DATASETS = ("luna16",)  # they carry nodules, but no label of a patient


@dataclass(frozen=True)
class Prediction:
    """What came out for one scan.

    Attributes
    ----------
    scan, dataset, split, label
        As in the scan sheet; label is 1 cancer, 0 no cancer, None unknown.
    probability : float or None
        Of cancer, 0..1; None exactly when the scan is quarantined or not scored.
    status : "ok", "warned", "quarantined" or "not-scored"
    codes : tuple of str
        Codes of `lungline.flags`; why a scan has no probability, or what to keep in mind.
    system : str
        The entry of `systems:` that answered.
    n_candidates, deciding_rank : int or None
        Number of candidates, and the rank of the one whose logit is the patient's.
    logit : float or None
        Of the probability.
    input_sha256, scored_sha256, weights_sha256, card_sha256 : str
        Of the raw scan, the file that was scored, the system's weights and its card, which holds the settings.
    code : str
        Fingerprint of the code that answered.

    Raises
    ------
    LunglineError
        If status, codes and probability contradict each other.
    """

    scan: str
    dataset: str
    split: str
    label: int | None
    probability: float | None
    status: str
    codes: tuple[str, ...] = ()
    system: str = ""
    n_candidates: int | None = None
    deciding_rank: int | None = None
    logit: float | None = None
    input_sha256: str = ""
    scored_sha256: str = ""
    weights_sha256: str = ""
    card_sha256: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise LunglineError(
                f"scan '{self.scan}': status must be one of {', '.join(STATUSES)}. Got '{self.status}'."
            )
        answered = self.status in ("ok", "warned")
        if answered and (self.probability is None or not 0 <= self.probability <= 1):
            raise LunglineError(
                f"scan '{self.scan}': status '{self.status}' needs a probability in 0..1. Got {self.probability}."
            )
        if not answered and self.probability is not None:
            raise LunglineError(f"scan '{self.scan}': status '{self.status}' allows no probability.")
        if self.status != "ok" and not self.codes:
            raise LunglineError(f"scan '{self.scan}': status '{self.status}' needs a code that says why.")


COLUMNS = tuple(field.name for field in fields(Prediction))
HASHES = ("input_sha256", "scored_sha256", "weights_sha256", "card_sha256", "code")
ANSWER_COLUMNS = (
    "scan", "logit", "probability", "n_candidates", "deciding_rank", "status", "codes", *HASHES, "candidate_logits",
    "low", "high",
)  # fmt: skip


def read_predictions(path: Path) -> list[Prediction]:
    """All rows of a `predictions.csv`; `LunglineError` with the line number if one is wrong or stands there twice."""
    rows: dict[str, Prediction] = {}
    for line, words in read_rows(Path(path), COLUMNS):
        try:
            row = _prediction(words)
        except (LunglineError, ValueError) as error:
            raise LunglineError(f"{path}, line {line}: {error}") from None
        if row.scan in rows:
            raise LunglineError(f"{path}, line {line}: scan '{row.scan}' stands there twice.")
        rows[row.scan] = row
    return list(rows.values())


def read_answers(path: Path) -> dict[str, Mapping[str, str]]:
    """The rows that `predict-cancer` wrote, by scan, as text."""
    answers: dict[str, Mapping[str, str]] = {}
    for line, words in read_rows(Path(path), ANSWER_COLUMNS):
        if words["scan"] in answers:
            raise LunglineError(f"{path}, line {line}: scan '{words['scan']}' stands there twice.")
        answers[words["scan"]] = words
    return answers


def collect(sheet: Sequence[ScanRow], answers: Mapping[str, Mapping[str, str]], system: str) -> list[Prediction]:
    """One prediction for every scan of the sheet, in its order.

    Raises
    ------
    LunglineError
        If a scan that must be scored has no answer, or an answer belongs to no scan of the sheet: in = out.
    """
    rows = [
        _collected(row, answers.get(row.scan), system)
        for row in sheet
        if row.scan in answers or row.dataset in NOT_SCORED_DATASETS
    ]
    came_in, go_out = {row.scan for row in sheet}, {row.scan for row in rows}
    missing, strange = sorted(came_in - go_out), sorted(set(answers) - came_in)
    for scans, complaint in ((missing, "without an answer"), (strange, "answered but not in the sheet")):
        if scans:
            more = f" and {len(scans) - 5} more" if len(scans) > 5 else ""
            raise LunglineError(
                f"{len(scans)} scans {complaint}: {', '.join(scans[:5])}{more}. Run predict-cancer again."
            )
    return rows


def _collected(row: ScanRow, answer: Mapping[str, str] | None, system: str) -> Prediction:
    if answer is None:
        answer = {"status": "not-scored", "codes": "N_DETECTION_ONLY"}
    label = "" if row.label is None else str(row.label)
    mine = {"scan": row.scan, "dataset": row.dataset, "split": row.split, "label": label, "system": system}
    return _prediction({**dict.fromkeys(COLUMNS, ""), **answer, **mine})


def _prediction(words: Mapping[str, str]) -> Prediction:
    return Prediction(
        scan=words["scan"],
        dataset=words["dataset"],
        split=words["split"],
        label=small_number(words["label"], "label"),
        probability=_finite(words["probability"]),
        status=words["status"],
        codes=tuple(filter(None, words["codes"].split(";"))),
        system=words["system"],
        n_candidates=int(words["n_candidates"]) if words["n_candidates"] else None,
        deciding_rank=int(words["deciding_rank"]) if words["deciding_rank"] else None,
        logit=_finite(words["logit"]),
        **{name: words[name] for name in HASHES},
    )


def _finite(word: str) -> float | None:
    if not word:
        return None
    value = float(word)
    if not math.isfinite(value):
        raise LunglineError(f"expected a finite number or nothing. Got '{word}'.")
    return value


def write_predictions(path: Path, rows: Iterable[Prediction]) -> None:
    """Write `predictions.csv`, whole or not at all."""
    write_sealed_text(path, table_text(COLUMNS, map(prediction_words, rows)))


def prediction_words(row: Prediction) -> list[object]:
    """A row as it is written, in the order of `COLUMNS`."""
    return [_word(value) for value in astuple(row)]


def _word(value: object) -> object:
    if isinstance(value, tuple):
        return ";".join(value)
    return f"{value:.9g}" if isinstance(value, float) else value
