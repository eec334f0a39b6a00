"""What a detector finds of nodules implanted into the chests of a site, and what it calls one in those chests alone."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungline.evaluation.by_group import Groups, describe_groups
from lungline.evaluation.free_response import CPM_POINTS, ScanMarks, froc, match
from lungline.evaluation.intervals import bootstrap, resamples
from lungline.evaluation.marks import describe_froc, describe_system

_ROUNDS = 1000


def describe_site(
    implanted: Mapping[str, ScanMarks],
    plain: Mapping[str, ScanMarks],
    groups: Groups,
    chests: Sequence[str],
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Results ready for JSON: the FROC of the implanted scans, results by group, marks in the chests as they are.

    `chests` says of each implanted scan which chest it is: intervals are over chests where there are two. `plain` are
    the chests as they are; at each score that gives so many false positives per implanted scan, it is told how many
    marks these have (bootstrap over chests), what lies on a known finding left out.
    """
    scores = describe_froc(implanted, seed=seed)
    if not scores["nodules"]:
        return {"froc": scores, "system": None, "by": None, "as_they_are": None}
    result = froc(implanted)
    false = [match(one).false_positives for one in plain.values()]
    draws = resamples(len(false), rounds=_ROUNDS, seed=seed)
    as_they_are = {}
    for point in CPM_POINTS:
        threshold = result.score_at(point)
        counts = np.array([0.0 if threshold is None else float((one >= threshold).sum()) for one in false])
        share = bootstrap(float(counts.mean()), draws, partial(_mean, counts))
        as_they_are[f"{point:g}"] = {"score": threshold, "false_positives_per_scan": share.as_json()}
    return {
        "froc": scores,
        "system": describe_system(implanted, patients=chests, seed=seed),
        "by": describe_groups(implanted, groups, seed=seed),
        "as_they_are": as_they_are,
    }


def _mean(values: NDArray[np.float64], draw: NDArray[np.int64]) -> float:
    return float(values[draw].mean())
