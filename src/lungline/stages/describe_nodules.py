"""Describe every candidate of a scan: its place, size, attenuation and scores."""

from contextlib import closing
from pathlib import Path
from typing import Any

from lungline.detection.candidates import Candidate, read_candidates
from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from lungline.names import SCORE_NAMES, ScoreOf, Supervision
from lungline.nodules.location import distances_from_pleura
from lungline.nodules.measurements import measure_candidates, size_candidates
from lungline.nodules.table import (
    SCHEMA,
    Grid,
    NoduleRow,
    SourceGrid,
    describe_candidates,
    drawn_axes,
    rows_as_csv,
    split_nodules,
)
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.hdf5 import Header
from lungline.storage.predictions import read_answers
from lungline.storage.results import write_result

_INTERVAL = (
    "between these the number would mostly lie (95 %) had other cases been at hand for its calibration. "
    "How far the classifier may be wrong about this patient is not in it"
)
_NO_INTERVAL = "the classifier is not calibrated, or found nothing: there is nothing to measure it by"
_NO_ANSWER = "the patient has no score"


@stage
def run(
    output: Path,
    *,
    scan: str,
    ingested: Path,
    volume: Path,
    lungs: Path,
    labels: Path | None = None,
    candidates: Path | None = None,
    predictions: Path | None = None,
    given: Path | None = None,
    classifier: str = "",
    supervision: Supervision = "patients",
    ranked_by: ScoreOf | None = None,
    min_finding_score: float | None = None,
) -> None:
    """Write OUTPUT (.json, layout nodules/2) and the same rows beside it as .csv.

    Parameters
    ----------
    ingested, volume, lungs : Path
        The scan as read, resampled, and its lung mask.
    labels, candidates : Path or None
        Label map and table of the candidates; none where the classifier reads no candidates.
    predictions : Path or None
        The table of `predict-cancer`; none where the scan has no score.
    given : Path or None
        The file of `read-masks`; where it has lobes, each candidate gets the one in which it lies.
    classifier : str
        The entry of `classifiers:` that scored the scan.
    supervision : "patients" or "nodules"
        What the classifier learned from: patients with cancer or without, or nodules that readers rated.
    ranked_by : "fpr" (false-positive reduction), "sum", "mean", "max" or None
        What the score of a candidate is: the probability that a network gives, or taken of the detector's probability
        over its voxels; None where it is not known.
    min_finding_score : float or None
        The score from which on a candidate is a finding, chosen on validation scans; None: all are.
    """
    if output.suffix != ".json":
        raise LunglineError(f"{output}: expected a name that ends in .json. The table as CSV is written beside it.")
    header = hdf5.read_header(lungs if labels is None else labels)
    answer = {} if predictions is None else dict(read_answers(predictions).get(scan, {}))
    usable, rows = header.status != "quarantined", list[NoduleRow]()
    grids: dict[str, Any] = {"grid": None, "source_grid": None, "quality": None, "lungs": None, "axes": None}
    if usable:
        source = SourceGrid(*hdf5.read_grid(ingested, "ct"), _instance_numbers(ingested))
        grid = hdf5.read_grid(volume, "ct") if labels is None else hdf5.read_grid(labels, "labels")
        grids |= {"grid": Grid(*grid).as_json(), "source_grid": source.as_json(), **_numbers_of_lungs(lungs)}
        if candidates is not None and labels is not None:
            found, map_zyx = read_candidates(candidates), hdf5.read_volume(labels, "labels")
            with hdf5.volume_on_disk(volume, "ct") as whole:
                ct = whole.part(map_zyx.shape_zyx, map_zyx.affine)  # what the mask leaves out, too
            grids["axes"], rows = _described(
                found,
                map_zyx,
                ct,
                hdf5.read_volume(lungs, "lungs"),
                ingested,
                source,
                logits=[float(word) for word in answer.get("candidate_logits", "").split(";") if word],
                deciding_rank=int(answer["deciding_rank"]) if answer.get("deciding_rank") else None,
                min_finding_score=min_finding_score,
                supervision=supervision,
                lobes=_lobes(given),
            )
    table = {
        "schema": SCHEMA,
        "scan": scan,
        "classifier": classifier or None,
        "status": answer.get("status") or header.status,
        "flags": _flags(header, answer),
        "patient": _patient(answer) | {"supervision": supervision},
        **grids,
        "ranked_by": ranked_by,
        "min_finding_score": min_finding_score,
        **(split_nodules(rows) if usable and candidates else {"nodules": None, "also_looked_at": None}),
    }
    write_result(output, table)
    write_checksummed_text(output.with_suffix(".csv"), rows_as_csv(scan, rows))


def _described(
    found: list[Candidate], labels: Volume, ct: Volume, lungs: Volume, ingested: Path, source: SourceGrid, **known: Any
) -> tuple[list[dict[str, Any]], list[NoduleRow]]:
    """The ends of the axes and the row of each candidate; `labels` and `ct` are on one grid."""
    wanted = [candidate.label for candidate in found]
    with closing(hdf5.open_field(ingested, "ct").file) as scanned:  # parts are read, not the whole
        sizes = size_candidates(ct, labels.array, wanted, Volume(scanned["ct"], source.affine))
    measured, pleura_mm = measure_candidates(ct, labels.array, wanted), distances_from_pleura(lungs, labels, wanted)
    rows = describe_candidates(found, measured, lungs, source, sizes=sizes, pleura_mm=pleura_mm, **known)
    return drawn_axes(found, sizes), rows


def _numbers_of_lungs(lungs: Path) -> dict[str, Any]:
    """Quality of the scan and its lungs in numbers, as `segment-lungs` measured them."""
    return {name: hdf5.read_header(lungs).provenance.get(name) for name in ("quality", "lungs")}


def _lobes(given: Path | None) -> Volume | None:
    return None if given is None or "lobes" not in hdf5.field_names(given) else hdf5.read_volume(given, "lobes")


def _instance_numbers(ingested: Path) -> tuple[int, ...] | None:
    """Of each slice of the scan as it was read, where its source has such numbers."""
    if "instance_number" not in hdf5.field_names(ingested):
        return None
    return tuple(hdf5.read_array(ingested, "instance_number").tolist())


def _flags(header: Header, answer: dict[str, str]) -> list[dict[str, str]]:
    """Those of the scan with what was found, then those that only the answer carries."""
    known = {flag.flag: flag.detail for flag in header.flags}
    named = [*known, *filter(None, answer.get("flags", "").split(";"))]
    return [{"flag": flag, "detail": known.get(flag, "")} for flag in dict.fromkeys(named)]


def _patient(answer: dict[str, str]) -> dict[str, Any]:
    """The answer for the patient as numbers."""
    scores = {name: float(answer[name]) if answer.get(name) else None for name in SCORE_NAMES.values()}
    has_score = any(score is not None for score in scores.values())
    interval = [float(answer["low"]), float(answer["high"])] if answer.get("low") else None
    return {
        **scores,
        "logit": float(answer["logit"]) if answer.get("logit") else None,
        "interval": interval,
        "interval_reason": (_INTERVAL if interval else _NO_INTERVAL) if has_score else _NO_ANSWER,
        "n_candidates": int(answer["n_candidates"]) if answer.get("n_candidates") else None,
        "deciding_rank": int(answer["deciding_rank"]) if answer.get("deciding_rank") else None,
    }
