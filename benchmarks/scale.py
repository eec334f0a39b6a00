"""How long a plan of thousands of scans takes, and what a change plans: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

from benchmarks.speed.measure import Took, timed
from tests.finished_run import Jobs, changes, finished
from tests.workflow_copy import copy_workflow


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--scans", type=int, default=2200, help="of the finished run that is changed (2200)")
    parser.add_argument("--predict", type=int, default=2500, help="of the prediction that is planned (2500)")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lungline-scale-") as scratch:
        if words.predict:
            print(told("prediction", words.predict, *timed(lambda: plan_prediction(Path(scratch), words.predict))))
        return not words.scans or not try_changes(Path(scratch), words.scans)


def told(what: str, scans: int, took: Took, jobs: Jobs) -> str:
    total = sum(jobs.values())
    return f"{what}, {scans} scans: {total} jobs planned in {took.wall_s:.0f} s, {took.cpu_s:.1f} s of CPU"


def plan_prediction(folder: Path, scans: int, change: dict | None = None) -> Jobs:
    """Jobs of a first prediction of so many scans with the weights in the package; nothing is in any scan's file."""
    workflow = copy_workflow(folder / "prediction")
    (folder / "scans").mkdir()
    for number in range(scans):
        (folder / "scans" / f"{number}.nii").touch()
    given = {"outdir": "results/scale", "data": {"folder": str(folder / "scans")}}
    return workflow.plan("real", change=given | (change or {}))


def try_changes(folder: Path, scans: int) -> bool:
    """Whether every change plans exactly what depends on it."""
    workflow, config = finished(folder, scans)
    right = True
    for name, (change, edit, expected) in changes(scans).items():
        with workflow.edited(*edit) if edit else nullcontext():
            took, jobs = timed(lambda change=change: workflow.plan("micro", change=config | change))
        right &= jobs == expected
        verdict = "exactly what depends on it" if jobs == expected else f"NOT {expected}"
        print(f"{told(name, scans, took, jobs)}, {verdict}", flush=True)
    return right


if __name__ == "__main__":
    sys.exit(main())
