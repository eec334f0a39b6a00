"""From candidates and annotations of scans to marks that can be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lungline.errors import LunglineError
from lungline.evaluation.froc import CPM_POINTS, Finding, ScanMarks, froc, froc_intervals
from lungline.evaluation.intervals import Estimate
from lungline.nodules.annotations import Nodule
from lungline.nodules.candidates import read_candidates

#: What candidates are ranked by, in the paper and here: a sum does not saturate at 1 as a mean does.
SCORE = "score"

#: Where the curve is written down: 1/16 to 16 false positives a scan, evenly on a logarithmic axis.
CURVE_POINTS = tuple(np.geomspace(1 / 16, 16, 65).tolist())


def refuse_strangers(nodules: Sequence[Nodule], scans: Sequence[str]) -> None:
    """`LunglineError` if no annotation belongs to any of the scans: another list of ids would score 0 of 0."""
    if not {nodule.scan for nodule in nodules} & set(scans):
        raise LunglineError(
            f"none of the {len(nodules)} annotations belongs to one of the {len(scans)} annotated scans of the sheet. "
            "Give the annotations of these scans."
        )


def scan_marks(
    scans: Sequence[str], candidates: Path, nodules: Sequence[Nodule], excluded: Sequence[Nodule] = ()
) -> dict[str, ScanMarks]:
    """The candidates CANDIDATES/{scan}.csv of each scan, with its annotations.

    Raises
    ------
    LunglineError
        If there is no scan, or one was not searched.
    """
    if not scans:
        raise LunglineError("no annotated scan in this split: there is nothing to measure.")
    missing = [scan for scan in scans if not (candidates / f"{scan}.csv").is_file()]
    if missing:
        raise LunglineError(
            f"{candidates}: {len(missing)} of {len(scans)} scans were not searched ({', '.join(missing[:3])}). "
            "Every scan counts, found or not: run extract-candidates for them."
        )
    marks = {}
    for scan in scans:
        found = read_candidates(candidates / f"{scan}.csv")
        marks[scan] = ScanMarks(
            [candidate.centroid_xyz_mm for candidate in found],
            [candidate.score for candidate in found],
            [Finding(n.centre_xyz_mm, n.diameter_mm) for n in nodules if n.scan == scan],
            [Finding(n.centre_xyz_mm, n.diameter_mm) for n in excluded if n.scan == scan],
        )
    return marks


def describe_froc(marks: Mapping[str, ScanMarks], *, seed: int = 0) -> dict[str, Any]:
    """CPM, sensitivities and curve with their intervals, ready for JSON; without a nodule, the reason."""
    if not any(scan.nodules for scan in marks.values()):
        reason = Estimate(None, reason="no annotated nodule in these scans")
        return {"cpm": reason.as_json(), "sensitivity_at": {}, "scans": len(marks), "nodules": 0, "curve": None}
    result = froc(marks)
    at_cpm = froc_intervals(result, CPM_POINTS, seed=seed)
    on_curve = froc_intervals(result, CURVE_POINTS, seed=seed)
    return {
        "cpm": at_cpm.cpm.as_json(),
        "sensitivity_at": {
            f"{point:g}": estimate.as_json() for point, estimate in zip(CPM_POINTS, at_cpm.at, strict=True)
        },
        "scans": result.scans,
        "nodules": result.nodules,
        "true_positives": result.true_positives,
        "false_positives": result.false_positives,
        "ignored_double": result.ignored_double,
        "ignored_on_excluded": result.ignored_on_excluded,
        "curve": {
            "false_positives_a_scan": list(CURVE_POINTS),
            "sensitivity": [estimate.value for estimate in on_curve.at],
            "low": [estimate.low for estimate in on_curve.at],
            "high": [estimate.high for estimate in on_curve.at],
        },
    }
