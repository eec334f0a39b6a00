"""What the workflow costs beside the work: `python -m benchmarks.speed.chain [--scans 1 3] [--jobs 1]`.

Simulates adults at real size (300 x 512 x 512 voxels, DICOM), answers them by the workflow with the weights in the
package (config/real.yaml), and by `lungline predict` in a single process, both with one thread; with `--pages`, both
write a page per scan. Compares the CPU time of everything that ran: what the workflow takes more is start-up,
scheduling and reading again. Two numbers of scans tell what one more costs, and with it what twenty do. Ends with 1 if
the two answer differently.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.speed.measure import Took, run_command
from benchmarks.speed.report import markdown
from benchmarks.speed.simulated_adult import SimulatedAdult
from lungline.storage.predictions import read_predictions
from tests.repository import REPOSITORY

_CLASSIFIER = "pretrained"  # the one that config/real.yaml runs


def answers(folder: Path) -> dict[str, float]:
    """Probability of each scan by its own name."""
    with open(folder / "private" / "map.csv", encoding="utf-8", newline="") as lines:
        names = {row["scan"]: row["original"] for row in csv.DictReader(lines)}
    return {names[row.scan]: row.score or 0.0 for row in read_predictions(folder / "predictions.csv")}


def measure(here: Path, scans: int, cores: int, jobs: int | None, *, pages: bool) -> tuple[Took, Took, float]:
    """The workflow, a single process, and the largest difference of a probability between them."""
    raw, results = here / "raw", here / "results"
    raw.mkdir(parents=True)
    for number in range(scans):
        os.replace(SimulatedAdult(here, pairs=1, number=number).dicom(compressed=False), raw / f"scan{number}")
    settings = {
        "outdir": str(results),
        "data": {"folder": str(raw)},
        "detect": {"jobs": jobs},
        "pages": {"scans": "all" if pages else []},
        "figures": {"scans": []},  # `predict` draws none
    }
    (here / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    where = {"cwd": REPOSITORY, "env": os.environ | alone}
    words = ["snakemake", "--cores", str(cores), "--quiet", "all", "--configfile", "config/real.yaml"]
    workflow = run_command([*words, str(here / "run.yaml")], here / "workflow.log", **where)
    words = ["lungline", "predict", str(raw), "--out", str(here / "one")]
    words += ["--bundle", str(results / "bundle" / f"{_CLASSIFIER}.json")]
    single = run_command([*words, "--dicom", "false", "--pages", str(pages).lower()], here / "single.log", **where)
    wanted, found = answers(here / "one"), answers(results)
    apart = max(abs(wanted[scan] - found[scan]) for scan in wanted) if wanted.keys() == found.keys() else 1.0
    return workflow, single, apart


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.chain", description=__doc__)
    parser.add_argument("--scans", type=int, nargs=2, default=(1, 3))
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, help="`detect.jobs` of the workflow; one job per scan if it is left out")
    parser.add_argument("--pages", action="store_true", help="a page per scan")
    options = parser.parse_args()
    few, many = options.scans
    with tempfile.TemporaryDirectory(prefix="lungline-chain-") as scratch:
        costs = [
            measure(Path(scratch, str(scans)), scans, options.cores, options.jobs, pages=options.pages)
            for scans in (few, many)
        ]
    jobs = "one job per scan" if options.jobs is None else f"detect.jobs {options.jobs}"
    print(f"{few} and {many} simulated scans, weights of the package, {options.cores} cores, {jobs}\n")
    head = f"way, CPU s of {few}, CPU s of {many}, CPU s of one more scan, wall s of {many}, CPU s of 20 by these"
    rows, of_20 = [], []
    for name, first, last in zip(("workflow", "one process"), *(cost[:2] for cost in costs), strict=True):
        more = (last.cpu_s - first.cpu_s) / (many - few)
        of_20.append(last.cpu_s + (20 - many) * more)
        rows.append((name, *(f"{s:.1f}" for s in (first.cpu_s, last.cpu_s, more, last.wall_s)), f"{of_20[-1]:.0f}"))
    print(markdown(head.split(", "), rows))
    print(f"start-up, scheduling, reading again, of 20 scans: {1 - of_20[1] / of_20[0]:.1%} of the workflow's CPU time")
    difference = max(cost[2] for cost in costs)
    print(f"largest difference of a probability: {difference:.2g}")
    return int(difference > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
