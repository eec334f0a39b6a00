"""Two sets of weights on the validation scans: `python -m experiments.pretrained.choosing THESE THOSE`.

Each is a folder that `lungline export-bundle` wrote. What goes into the package is decided by this table: the test
scans are not looked at.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from experiments.pretrained.implanted import (
    LARGE_MM,
    ROUNDS,
    Judged,
    false_positives_at,
    first_marks,
    folder_of,
    judge,
    rank_every,
    recall,
    scans_of,
)
from lungline.evaluation.auc import auc, auc_difference
from lungline.evaluation.cancer_metrics import log_loss
from lungline.evaluation.free_response import ScanMarks, match, mean_cpm
from lungline.evaluation.intervals import Estimate, wilson
from lungline.stages import detect, extract_candidates
from lungline.training.cases import RatedNodule
from tests.repository import REPOSITORY

SPLIT = "valid"


@dataclass(frozen=True)
class Answered:
    """What one set of weights makes of the validation scans."""

    marks: Mapping[str, ScanMarks]
    judged: Judged


def answer(results: Path, weights: Path, out: Path) -> Answered:
    """Search, extract and rank as `lungline predict` does with these weights, and judge the nodules."""
    out = folder_of(out, weights / "bundle.json")
    scans, caches = scans_of(results, SPLIT), results / "cache_volume"
    settings = json.loads((weights / "bundle.json").read_text(encoding="utf-8"))["settings"]
    detected, candidates, ranked = (out / stage for stage in ("detect", "extract_candidates", "rank_candidates"))
    missing = [scan for scan in scans if not (candidates / f"{scan}.csv").is_file()]
    if missing:
        detect.run(caches, detected, scans=missing, detector=weights / "detector", **settings["detect"])
        extract_candidates.run(detected, candidates, scans=missing, **settings["extract_candidates"])
    rank_every(scans, candidates, ranked, caches, detected, weights / "detector" / "fpr")
    return Answered(
        first_marks(results, ranked, SPLIT, LARGE_MM), judge(results, detected, weights / "classifier", ranked, SPLIT)
    )


def table(these: Answered, those: Answered, seed: int) -> str:
    """Markdown: both, and the paired difference (bootstrap over scans, over patients; DeLong)."""
    scores = [[match(own) for own in answered.marks.values()] for answered in (these, those)]
    both = sorted(set(these.judged.nodules) & set(those.judged.nodules), key=these.judged.nodules.index)
    a, b = (_of(answered.judged, both) for answered in (these, those))
    y, p, q = a.labels, expit(a.logits), expit(b.logits)

    def over_patients(statistic: Callable[[NDArray[np.int64]], float]) -> Estimate:
        return a.over_patients(statistic(np.arange(len(both))), statistic, seed)

    rows = [
        ("recall among 20", *(wilson(*recall(own)) for own in scores), "-"),
        ("CPM", *(mean_cpm([own], rounds=ROUNDS, seed=seed) for own in scores),
         mean_cpm(scores[:1], scores[1:], rounds=ROUNDS, seed=seed)),
        ("FP per scan at 80 %", *(false_positives_at(own.marks, seed) for own in (these, those)), "-"),
        ("log loss", over_patients(lambda i: log_loss(y[i], p[i])), over_patients(lambda i: log_loss(y[i], q[i])),
         over_patients(lambda i: log_loss(y[i], p[i]) - log_loss(y[i], q[i]))),
        ("AUC", auc(y, a.logits), auc(y, b.logits), auc_difference(y, a.logits, b.logits)),
    ]  # fmt: skip
    about = f"{len(these.marks)} scans, nodules of {LARGE_MM:.0f} mm and more; {len(both)} nodules judged"
    head = f"| {about} | these | those | these minus those |\n|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def _of(judged: Judged, nodules: list[RatedNodule]) -> Judged:
    at = [judged.nodules.index(nodule) for nodule in nodules]
    return Judged(nodules, [judged.patients[i] for i in at], judged.logits[at], judged.measured_mm[at])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained.choosing", description=__doc__)
    parser.add_argument("weights", type=Path, nargs=2, metavar="WEIGHTS")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "pretrained")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pretrained" / "choosing")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    options = parser.parse_args()
    these, those = (answer(options.results, weights, options.out) for weights in options.weights)
    print(table(these, those, options.seed), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
