"""How long a plan of thousands of scans takes, and what a change plans: `python -m benchmarks.scale`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import yaml

from benchmarks.speed.measure import Took, run_command, timed
from tests.finished_run import Jobs, changes, finished
from tests.repository import REPOSITORY
from tests.workflow_copy import PARTS, Workflow, copy_parts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--scans", type=int, default=2200, help="of the finished run that is changed (2200)")
    parser.add_argument("--predict", type=int, nargs="*", default=[2500], help="of the predictions to plan (2500)")
    parser.add_argument("--beside", type=Path, help="another checkout, whose plan is made in turn with each of ours")
    words = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lungline-scale-") as scratch:
        for scans in filter(None, words.predict):
            took = plan_prediction(Path(scratch), REPOSITORY, scans)
            print(f"prediction, {scans} scans: {took.cpu_s:.1f} s of CPU, {took.peak_mib:.0f} MiB", flush=True)
            if words.beside:
                other = plan_prediction(Path(scratch), words.beside, scans)
                ratio = f"{other.cpu_s:.1f} s of CPU, {other.peak_mib:.0f} MiB, ratio {took.cpu_s / other.cpu_s:.2f}"
                print(f"  {words.beside}: {ratio}", flush=True)
        return not words.scans or not try_changes(Path(scratch), words.scans)


def told(what: str, scans: int, took: Took, jobs: Jobs) -> str:
    total = sum(jobs.values())
    return f"{what}, {scans} scans: {total} jobs planned in {took.wall_s:.0f} s, {took.cpu_s:.1f} s of CPU"


def plan_prediction(folder: Path, checkout: Path, scans: int) -> Took:
    """What `snakemake -n` of a first prediction takes, with the weights in the package; every scan's file is empty."""
    name = f"{checkout.name}-{scans}"
    parts = [part for part in PARTS if (checkout / part).exists()]
    workflow = Workflow(copy_parts(folder / name, parts, checkout))
    (folder / f"{name}-scans").mkdir()
    for number in range(scans):
        (folder / f"{name}-scans" / f"{number}.nii").touch()
    given = {"outdir": "results/scale", "data": {"folder": str(folder / f"{name}-scans")}}
    (workflow.folder / "given.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    workflow.list_scans("config/real.yaml", "given.yaml")  # a checkout without that command lists them as it plans
    words = ["--dry-run", "--quiet", "host", "rules", "--cores", "2", "--configfile", "config/real.yaml", "given.yaml"]
    command = [sys.executable, "-m", "snakemake", *words]
    return run_command(command, folder / f"{name}.log", cwd=workflow.folder, env=workflow.environment)


def try_changes(folder: Path, scans: int) -> bool:
    """Whether every change plans exactly what depends on it."""
    workflow, config = finished(folder, scans)
    workflow = replace(workflow, anew=True)
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
