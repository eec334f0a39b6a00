"""Marks of candidates and submissions with their annotations; FROC curve and recall as JSON."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lungline.detection.candidates import read_candidates
from lungline.errors import LunglineError
from lungline.evaluation.free_response import (
    CPM_POINTS,
    MOST_MARKS,
    Finding,
    ScanMarks,
    ScanScore,
    counts_at,
    froc,
    froc_intervals,
    match,
    script_intervals,
)
from lungline.evaluation.intervals import Estimate, bootstrap, resamples, wilson
from lungline.nodules.annotations import Nodule
from lungline.storage.submissions import Mark

#: What candidates are ranked by; in the paper their sum of probability.
SCORE = "score"

#: Where the curve is written down: 1/16 to 16 false positives per scan, evenly on a logarithmic axis.
CURVE_POINTS = tuple(np.geomspace(1 / 16, 16, 65).tolist())

#: Lower ends in mm of the classes of diameter, and their names.
CLASSES = {0.0: "<3", 3.0: "3-6", 6.0: "6-10", 10.0: ">=10"}


def refuse_strangers(nodules: Sequence[Nodule], scans: Sequence[str]) -> None:
    """`LunglineError` if no annotation belongs to any of the scans: another list of ids would score 0 of 0."""
    if not {nodule.scan for nodule in nodules} & set(scans):
        raise LunglineError(
            f"none of the {len(nodules)} annotations belongs to one of the {len(scans)} annotated scans. "
            "Give the annotations of these scans."
        )


def scan_marks(
    scans: Sequence[str], candidates: Path, nodules: Sequence[Nodule], excluded: Sequence[Nodule] = ()
) -> dict[str, ScanMarks]:
    """The candidates CANDIDATES/{scan}.csv of each scan, with its annotations; raises as `candidate_marks`."""
    return _with_findings(scans, candidate_marks(scans, candidates), nodules, excluded)


def candidate_marks(scans: Sequence[str], candidates: Path) -> dict[str, list[Mark]]:
    """The candidates CANDIDATES/{scan}.csv of each scan as marks.

    `LunglineError` if there is no scan, or one was not searched.
    """
    if not scans:
        raise LunglineError("no annotated scan in this split: there is nothing to measure.")
    missing = [scan for scan in scans if not (candidates / f"{scan}.csv").is_file()]
    if missing:
        raise LunglineError(
            f"{candidates}: {len(missing)} of {len(scans)} scans were not searched ({', '.join(missing[:3])}). "
            "Every scan counts, found or not: run extract-candidates for them."
        )
    found = {scan: read_candidates(candidates / f"{scan}.csv") for scan in scans}
    return {scan: [(*c.centroid_xyz_mm, c.score) for c in some] for scan, some in found.items()}


def submitted_marks(
    marks: Mapping[str, Sequence[Mark]],
    scans: Sequence[str],
    nodules: Sequence[Nodule],
    excluded: Sequence[Nodule] = (),
) -> dict[str, ScanMarks]:
    """The marks of a submission for every scan that was searched, with the annotations of these scans.

    `LunglineError` if scans have marks but are not in the list, or no annotation is of these scans.
    """
    strangers = sorted(set(marks) - set(scans))
    if strangers:
        raise LunglineError(
            f"{len(strangers)} of {len(marks)} scans with marks are not in the list of {len(scans)} scans "
            f"({', '.join(strangers[:3])}). Give the list of all scans that were searched: a shorter one flatters."
        )
    refuse_strangers(nodules, scans)
    return _with_findings(scans, marks, nodules, excluded)


def _with_findings(
    scans: Sequence[str], marks: Mapping[str, Sequence[Mark]], nodules: Sequence[Nodule], excluded: Sequence[Nodule]
) -> dict[str, ScanMarks]:
    found, ignored = _by_scan(nodules), _by_scan(excluded)
    table = {scan: np.array(marks.get(scan, ()), dtype=np.float64).reshape(-1, 4) for scan in scans}
    return {scan: ScanMarks(rows[:, :3], rows[:, 3], found[scan], ignored[scan]) for scan, rows in table.items()}


def _by_scan(nodules: Sequence[Nodule]) -> dict[str, list[Finding]]:
    table: dict[str, list[Finding]] = defaultdict(list)
    for nodule in nodules:
        table[nodule.scan].append(Finding(nodule.centre_xyz_mm, nodule.diameter_mm))
    return table


def doubts(marks: Mapping[str, ScanMarks], result: Mapping[str, Any]) -> list[str]:
    """Warnings about a submission that can be scored, a sentence each."""
    found = []
    if result["marks_lost_to_ties"]:
        found.append(
            f"{result['marks_lost_to_ties']} marks were lost: they tie at the limit of {MOST_MARKS} marks per scan. "
            "Submit unsaturated scores, with more digits."
        )
    silent = sum(np.size(scan.scores) == 0 for scan in marks.values())
    if 2 * silent > len(marks):
        found.append(f"{silent} of {len(marks)} listed scans have no mark. Make sure that all of them were searched.")
    return found


def read_scan_scores(described: Mapping[str, Any]) -> dict[str, ScanScore] | None:
    """Scan -> its matched marks, from what `describe_froc` gave; None if there was no nodule."""
    if not described.get("per_scan"):
        return None
    return {
        scan: ScanScore(
            np.array(one["hits"], dtype=np.float64), np.array(one["false_positives"], dtype=np.float64), one["nodules"]
        )
        for scan, one in described["per_scan"].items()
    }


def describe_froc(marks: Mapping[str, ScanMarks], *, seed: int = 0) -> dict[str, Any]:
    """CPM, sensitivities and curve with their intervals, ready for JSON; without a nodule, the reason."""
    if not any(scan.nodules for scan in marks.values()):
        reason = Estimate(None, reason="no annotated nodule in these scans")
        return {
            "cpm": reason.as_json(),
            "sensitivity_at": {},
            "score_at": {},
            "scans": len(marks),
            "nodules": 0,
            "curve": None,
        }
    result = froc(marks)
    intervals = froc_intervals(result, (*CPM_POINTS, *CURVE_POINTS), seed=seed)
    at_cpm, on_curve = intervals.at[: len(CPM_POINTS)], intervals.at[len(CPM_POINTS) :]
    return {
        "cpm": intervals.cpm.as_json(),
        "sensitivity_at": {
            f"{point:g}": estimate.as_json() for point, estimate in zip(CPM_POINTS, at_cpm, strict=True)
        },
        "score_at": {f"{point:g}": result.score_at(point) for point in CPM_POINTS},
        **{name: getattr(result, name) for name in ("scans", "nodules", "true_positives", "false_positives")},
        "false_negatives": result.nodules - result.true_positives,
        "marks_after_cut": result.marks_after_cut,
        "marks_lost_to_ties": result.lost_to_ties,
        "ignored_double": result.ignored_double,
        "ignored_on_excluded": result.ignored_on_excluded,
        "per_scan": {
            scan: {"nodules": s.nodules, "hits": s.hits.tolist(), "false_positives": s.false_positives.tolist()}
            for scan, s in zip(marks, result.per_scan, strict=True)
        },
        "curve": {
            "false_positives_per_scan": list(CURVE_POINTS),
            "sensitivity": [estimate.value for estimate in on_curve],
            "low": [estimate.low for estimate in on_curve],
            "high": [estimate.high for estimate in on_curve],
        },
    }


#: So many of the strongest marks of a scan, of which the share of found nodules is told.
AMONG = (1, 5, 10, 20, 50, 100)


def describe_script_intervals(marks: Mapping[str, ScanMarks], *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Mean, low and high of the sensitivity at each point of the CPM, as LUNA-16's script draws them."""
    drawn = script_intervals(froc(marks), seed=seed)
    rows = zip(*drawn.values(), strict=True)
    return {f"{point:g}": dict(zip(drawn, row, strict=True)) for point, row in zip(CPM_POINTS, rows, strict=False)}


def describe_system(
    marks: Mapping[str, ScanMarks],
    *,
    versus: Mapping[str, ScanMarks] | None = None,
    patients: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """What `describe_froc` leaves out, ready for JSON.

    Counts at the points of the CPM; recall among the strongest marks of a scan; with `patients`, one a scan, intervals
    over them; with `versus`, the marks of another system on the same scans, this one minus that one.
    """
    result = froc(marks)
    with_nodules = [scan for scan in marks.values() if scan.nodules]
    found = {n: sum(len(match(scan, n).hits) for scan in with_nodules) for n in AMONG}
    described: dict[str, Any] = {
        "counts_at": {f"{point:g}": counts_at(result, point) for point in CPM_POINTS},
        "recall_among": {str(n): wilson(hits, result.nodules).as_json() for n, hits in found.items()},
        "recall_by_diameter_mm": _by_diameter(_found(marks)),
        "scans_without_marks": sum(np.size(scan.scores) == 0 for scan in marks.values()),
    }
    other = None if versus is None else froc(versus)
    over = {"over_scans": None, **({} if patients is None else {"over_patients": patients})}
    for name, minus in (("", None), ("difference_", other)):
        for whose, groups in over.items():
            if (name and minus is None) or not (name or groups):
                continue  # intervals over scans without a difference stand in `describe_froc`
            estimates = froc_intervals(result, minus=minus, patients=groups, seed=seed)
            described[name + whose] = {
                "cpm": estimates.cpm.as_json(),
                "sensitivity_at": {f"{p:g}": e.as_json() for p, e in zip(CPM_POINTS, estimates.at, strict=True)},
            }
    return described


def is_found(nodule: Finding, marks: ScanMarks) -> bool:
    """Whether any mark lies strictly within the nodule's radius."""
    points = np.asarray(marks.points_xyz_mm, dtype=np.float64).reshape(-1, 3)
    distance_mm = np.linalg.norm(points - np.asarray(nodule.centre_xyz_mm), axis=1)
    return bool(np.any(distance_mm < nodule.diameter_mm / 2))


def recall(scans: Mapping[str, ScanMarks], *, seed: int = 0, rounds: int = 1000) -> dict[str, Any]:
    """Recall of the nodules of all scans that were searched, whatever their candidates' scores, ready for JSON.

    A nodule is found if a candidate's centroid lies strictly within its radius. A scan that could not be used has no
    mark, and its nodules count as missed.
    """
    found = _found(scans)
    hits = np.array([hit for scan in found for _, hit in scan], dtype=bool)
    counts = np.array([np.size(marks.scores) for marks in scans.values()], dtype=np.float64)
    draws = resamples(len(counts), rounds=rounds, seed=seed)
    all_found = [all(hit for _, hit in scan) for scan in found if scan]
    return {
        "nodules": len(hits),
        "found": int(hits.sum()),
        "recall": wilson(int(hits.sum()), len(hits)).as_json(),
        "recall_by_diameter_mm": _by_diameter(found),
        "candidates_per_scan": bootstrap(float(counts.mean()), draws, lambda i: float(counts[i].mean())).as_json(),
        "scans": len(counts),
        "scans_with_nodules": len(all_found),
        "scans_with_all_found": sum(all_found),
        "scans_without_candidates": int(np.sum(counts == 0)),
    }


def _found(scans: Mapping[str, ScanMarks]) -> list[list[tuple[float, bool]]]:
    """Of each scan, the diameter in mm of each nodule and whether it is found."""
    return [[(n.diameter_mm, is_found(n, marks)) for n in marks.nodules] for marks in scans.values()]


def _by_diameter(found: Sequence[Sequence[tuple[float, bool]]]) -> dict[str, Any]:
    """Recall of each class of diameter."""
    diameters_mm, hits = np.array([one for scan in found for one in scan], dtype=np.float64).reshape(-1, 2).T
    by_class = {}
    for low, high, name in zip(CLASSES, (*list(CLASSES)[1:], np.inf), CLASSES.values(), strict=True):
        own = hits[(low <= diameters_mm) & (diameters_mm < high)]
        if low or len(own):  # LUNA-16 annotates from 3 mm: the class below is shown only if it occurs
            by_class[name] = {"nodules": len(own), **wilson(int(own.sum()), len(own)).as_json()}
    return by_class
