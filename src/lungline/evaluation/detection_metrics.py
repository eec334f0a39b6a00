"""How many annotated nodules are among the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lungline.evaluation.froc import Finding, ScanMarks
from lungline.evaluation.intervals import bootstrap, resamples, wilson

#: Lower ends in mm of the classes of diameter, and their names.
CLASSES = {0.0: "<3", 3.0: "3-6", 6.0: "6-10", 10.0: ">=10"}


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
    rows = [(scan, n.diameter_mm, is_found(n, marks)) for scan, marks in scans.items() for n in marks.nodules]
    nodules = pd.DataFrame(rows, columns=["scan", "diameter_mm", "found"]).astype({"found": bool})
    classes = pd.cut(nodules["diameter_mm"], [*CLASSES, np.inf], right=False, labels=list(CLASSES.values()))
    by_class = nodules.groupby(classes, observed=False)["found"].agg(["sum", "size"])
    if by_class.loc["<3", "size"] == 0:  # LUNA-16 annotates from 3 mm: the class below is shown only if it occurs
        by_class = by_class.drop("<3")
    counts = np.array([np.size(marks.scores) for marks in scans.values()], dtype=np.float64)
    draws = resamples(len(counts), rounds=rounds, seed=seed)
    all_found = nodules.groupby("scan")["found"].all()
    found = int(nodules["found"].sum())
    return {
        "nodules": len(nodules),
        "found": found,
        "recall": wilson(found, len(nodules)).as_json(),
        "recall_by_diameter_mm": {
            str(name): {"nodules": int(size), **wilson(int(hits), int(size)).as_json()}
            for name, hits, size in by_class.itertuples()
        },
        "candidates_a_scan": bootstrap(float(counts.mean()), draws, lambda i: float(counts[i].mean())).as_json(),
        "scans": len(counts),
        "scans_with_nodules": len(all_found),
        "scans_with_all_found": int(all_found.sum()),
        "scans_without_candidates": int(np.sum(counts == 0)),
    }
