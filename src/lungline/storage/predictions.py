"""The tables of answers: scores of a classifier, and `predictions.csv`, one row for every scan."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from lungline.errors import LunglineError
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.scan_rows import ScanRow, small_number
from lungline.storage.tables import read_rows, table_text

Row = TypeVar("Row")

STATUSES = ("ok", "warned", "quarantined", "not-scored")
NOT_SCORED_DATASETS = ("luna16",)  # they carry nodules, but no label of a patient
_NOT_SCORED = {"status": "not-scored", "flags": "N_DETECTION_ONLY"}


@dataclass(frozen=True)
class Prediction:
    """The result for one scan; `LunglineError` if status, flags and scores contradict each other.

    A classifier that learned from patients gives a `cancer_probability`, one that learned from readers' ratings of
    nodules a `malignancy_score`, both 0..1; the other is None, and both are None exactly when the scan is quarantined
    or not scored. `flags` of `lungline.qc_flags` say why, or what to keep in mind. `classifier` is the entry of
    `classifiers:` that answered, and `deciding_rank` the rank of the candidate whose logit is the patient's. SHA-256
    are those of the raw scan, the file that was scored, the classifier's weights and its card, which holds the
    settings; `code` is the fingerprint of the code that answered.
    """

    scan: str
    dataset: str
    split: str
    label: int | None
    cancer_probability: float | None
    malignancy_score: float | None = field(default=None, kw_only=True)
    status: str
    flags: tuple[str, ...] = ()
    classifier: str = ""
    n_candidates: int | None = None
    deciding_rank: int | None = None
    logit: float | None = None
    input_sha256: str = ""
    scored_sha256: str = ""
    weights_sha256: str = ""
    card_sha256: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        answered, wrong = self.status in ("ok", "warned"), ""
        given = [score for score in (self.cancer_probability, self.malignancy_score) if score is not None]
        if self.status not in STATUSES:
            wrong = f"status must be one of {', '.join(STATUSES)}. Got '{self.status}'."
        elif answered and (len(given) != 1 or not 0 <= given[0] <= 1):
            wrong = f"status '{self.status}' needs cancer_probability or malignancy_score in 0..1. Got {given or None}."
        elif not answered and given:
            wrong = f"status '{self.status}' allows no score."
        elif self.status != "ok" and not self.flags:
            wrong = f"status '{self.status}' needs a flag that says why."
        if wrong:
            raise LunglineError(f"scan '{self.scan}': {wrong}")

    @property
    def score(self) -> float | None:
        """The classifier's number, 0..1, whichever of the two it is; None without an answer."""
        return self.cancer_probability if self.malignancy_score is None else self.malignancy_score


COLUMNS = tuple(one.name for one in fields(Prediction))
HASHES = ("input_sha256", "scored_sha256", "weights_sha256", "card_sha256", "code")
ANSWER_COLUMNS = (
    "scan", "logit", "cancer_probability", "malignancy_score", "n_candidates", "deciding_rank", "status", "flags",
    *HASHES, "candidate_logits", "low", "high",
)  # fmt: skip


def read_predictions(path: Path) -> list[Prediction]:
    """All rows of a `predictions.csv`; `LunglineError` with the line number if one is wrong or stands there twice."""
    return list(_rows_by_scan(path, COLUMNS, _prediction).values())


def read_answers(path: Path) -> dict[str, Mapping[str, str]]:
    """The rows that `predict-cancer` wrote, by scan, as text."""
    return _rows_by_scan(path, ANSWER_COLUMNS, lambda cells: cells)


def _rows_by_scan(path: Path, columns: Sequence[str], make: Callable[[Mapping[str, str]], Row]) -> dict[str, Row]:
    """What `make` makes of each row, by scan; `LunglineError` with the line number for what is wrong."""
    rows: dict[str, Row] = {}
    for line, cells in read_rows(Path(path), columns):
        try:
            row = make(cells)
        except (LunglineError, ValueError) as error:
            raise LunglineError(f"{path}, line {line}: {error}") from None
        if cells["scan"] in rows:
            raise LunglineError(f"{path}, line {line}: scan '{cells['scan']}' stands there twice.")
        rows[cells["scan"]] = row
    return rows


def collect(manifest: Sequence[ScanRow], answers: Mapping[str, Mapping[str, str]], classifier: str) -> list[Prediction]:
    """One prediction for every scan of the manifest, in its order.

    `LunglineError` if a scan that must be scored has no answer, or an answer belongs to no scan of the manifest: in =
    out.
    """
    rows = [
        _collected(row, answers.get(row.scan, _NOT_SCORED), classifier)
        for row in manifest
        if row.scan in answers or row.dataset in NOT_SCORED_DATASETS
    ]
    came_in, go_out = {row.scan for row in manifest}, {row.scan for row in rows}
    missing, strange = sorted(came_in - go_out), sorted(set(answers) - came_in)
    for scans, complaint in ((missing, "without an answer"), (strange, "answered but not in the manifest")):
        if scans:
            shown = ", ".join(scans[:5]) + (f" and {len(scans) - 5} more" if len(scans) > 5 else "")
            raise LunglineError(f"{len(scans)} scans {complaint}: {shown}. Run predict-cancer again.")
    return rows


def _collected(row: ScanRow, answer: Mapping[str, str], classifier: str) -> Prediction:
    label = "" if row.label is None else str(row.label)
    mine = {"scan": row.scan, "dataset": row.dataset, "split": row.split, "label": label, "classifier": classifier}
    return _prediction({**dict.fromkeys(COLUMNS, ""), **answer, **mine})


def _prediction(cells: Mapping[str, str]) -> Prediction:
    return Prediction(
        **{name: cells[name] for name in ("scan", "dataset", "split", "status", "classifier", *HASHES)},
        label=small_number(cells["label"], "label"),
        cancer_probability=_finite(cells["cancer_probability"]),
        malignancy_score=_finite(cells["malignancy_score"]),
        flags=tuple(filter(None, cells["flags"].split(";"))),
        n_candidates=int(cells["n_candidates"]) if cells["n_candidates"] else None,
        deciding_rank=int(cells["deciding_rank"]) if cells["deciding_rank"] else None,
        logit=_finite(cells["logit"]),
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
    write_checksummed_text(path, table_text(COLUMNS, map(format_prediction, rows)))


def format_prediction(row: Prediction) -> list[object]:
    """A row as it is written, in the order of `COLUMNS`."""
    return [_cell(value) for value in astuple(row)]


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return ";".join(value)
    return f"{value:.9g}" if isinstance(value, float) else value
