"""How many annotated nodules are among the candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lungline.evaluation.froc import Finding, ScanMarks
from lungline.evaluation.intervals import Estimate, bootstrap, resamples, wilson

#: Diameter classes in mm, [low, high).
CLASSES = {"<3": (0.0, 3.0), "3-6": (3.0, 6.0), "6-10": (6.0, 10.0), ">=10": (10.0, np.inf)}


@dataclass(frozen=True)
class Recall:
    """Recall of nodules among the candidates of scans.

    Attributes
    ----------
    all, by_diameter
        Share of nodules with a candidate's centroid strictly within their radius.
    candidates_a_scan : Estimate
        Mean.
    scans, scans_with_nodules, scans_with_all_found, scans_without_candidates : int
    """

    all: Estimate
    by_diameter: Mapping[str, tuple[int, Estimate]]
    nodules: int
    found: int
    candidates_a_scan: Estimate
    scans: int
    scans_with_nodules: int
    scans_with_all_found: int
    scans_without_candidates: int

    def as_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "nodules": self.nodules,
            "found": self.found,
            "recall": self.all.as_json(),
            "recall_by_diameter_mm": {
                name: {"nodules": n, **estimate.as_json()} for name, (n, estimate) in self.by_diameter.items()
            },
            "candidates_a_scan": self.candidates_a_scan.as_json(),
            "scans": self.scans,
            "scans_with_nodules": self.scans_with_nodules,
            "scans_with_all_found": self.scans_with_all_found,
            "scans_without_candidates": self.scans_without_candidates,
        }


def is_found(nodule: Finding, marks: ScanMarks) -> bool:
    """Whether any mark lies strictly within the nodule's radius."""
    points = np.asarray(marks.points_xyz_mm, dtype=np.float64).reshape(-1, 3)
    distance_mm = np.linalg.norm(points - np.asarray(nodule.centre_xyz_mm), axis=1)
    return bool(np.any(distance_mm < nodule.diameter_mm / 2))


def recall(scans: Mapping[str, ScanMarks], *, seed: int = 0, rounds: int = 1000) -> Recall:
    """Recall of the nodules of all scans, whatever their candidates' scores.

    Parameters
    ----------
    scans : mapping of id to ScanMarks
        All scans that were searched. A scan that could not be used has no mark, and its nodules count as missed.
    """
    found = [(nodule.diameter_mm, is_found(nodule, marks)) for marks in scans.values() for nodule in marks.nodules]
    classes = {}
    for name, (low, high) in CLASSES.items():
        inside = [hit for diameter, hit in found if low <= diameter < high]
        if inside or low >= 3:  # LUNA-16 annotates from 3 mm: the class below is shown only if it occurs
            classes[name] = (len(inside), wilson(sum(inside), len(inside)))
    counts = np.array([np.size(marks.scores) for marks in scans.values()], dtype=np.float64)
    draws = resamples(len(counts), rounds=rounds, seed=seed)
    with_nodules = [marks for marks in scans.values() if marks.nodules]
    return Recall(
        all=wilson(sum(hit for _, hit in found), len(found)),
        by_diameter=classes,
        nodules=len(found),
        found=sum(hit for _, hit in found),
        candidates_a_scan=bootstrap(float(counts.mean()), draws, lambda i: float(counts[i].mean())),
        scans=len(counts),
        scans_with_nodules=len(with_nodules),
        scans_with_all_found=sum(all(is_found(n, marks) for n in marks.nodules) for marks in with_nodules),
        scans_without_candidates=int(np.sum(counts == 0)),
    )
