"""What the workflow costs beside the work: `python -m benchmarks.speed.chain [--scans 1 3] [--jobs 1]`.

Generates adults at real size (300 x 512 x 512 voxels, DICOM), answers them by the workflow with the weights in the
package (config/real.yaml), and by `lungline predict` in a single process, both with one thread; with `--pages`, both
write a page a scan, which the configuration leaves out.
Compares the CPU time of everything that ran: what the workflow takes more is start-up, scheduling and reading again.
Two numbers of scans tell what one more costs, and with it what twenty do. Ends with 1 if the two answer differently.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.speed.simulated_adult import Scene
from lungline.storage.predictions import read_predictions
from tests.repository import REPOSITORY

_SYSTEM = "pretrained"  # the one that config/real.yaml runs


@dataclass(frozen=True)
class Ran:
    """Seconds of a command and all processes below it."""

    cpu_s: float
    wall_s: float


def run(words: Sequence[str], log: Path) -> Ran:
    """Run a command from the repository, with one thread a process; `CalledProcessError` if it ends badly."""
    alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    started = time.perf_counter()
    with open(log, "w", encoding="utf-8") as out:
        child = subprocess.Popen(words, cwd=REPOSITORY, env=os.environ | alone, stdout=out, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words[0], log.read_text(encoding="utf-8")[-2000:])
    return Ran(used.ru_utime + used.ru_stime, time.perf_counter() - started)


def draw_scans(folder: Path, scans: int) -> Path:
    """That many adults, each a folder of DICOM files."""
    for number in range(scans):
        os.replace(Scene(folder, pairs=1, number=number).dicom(compressed=False), folder / f"scan{number}")
    return folder


def answers(folder: Path) -> dict[str, float]:
    """Probability of each scan by its own name."""
    with open(folder / "private" / "map.csv", encoding="utf-8", newline="") as lines:
        names = {row["scan"]: row["original"] for row in csv.DictReader(lines)}
    return {names[row.scan]: row.probability or 0.0 for row in read_predictions(folder / "predictions.csv")}


def measure(raw: Path, cores: int, jobs: int | None, here: Path, *, pages: bool) -> tuple[Ran, Ran, float]:
    """The workflow, a single process, and the largest difference of a probability between them."""
    here.mkdir()
    settings = {
        "outdir": str(here / "results"),
        "data": {"folder": str(raw)},
        "detect": {"jobs": jobs},
        "pages": {"scans": "all" if pages else []},
        "figures": {"scans": []},  # `predict` draws none
    }
    (here / "run.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    snakemake = ("snakemake", "--cores", str(cores), "--quiet", "all")
    workflow = run((*snakemake, "--configfile", "config/real.yaml", str(here / "run.yaml")), here / "workflow.log")
    described = here / "results" / "pipeline" / f"{_SYSTEM}.json"
    one = (
        "lungline",
        "predict",
        str(raw),
        "--out",
        str(here / "one"),
        "--pipeline",
        str(described),
        "--dicom",
        "false",
        "--pages",
        str(pages).lower(),
    )
    single = run(one, here / "single.log")
    wanted, found = answers(here / "one"), answers(here / "results")
    apart = max(abs(wanted[scan] - found[scan]) for scan in wanted) if wanted.keys() == found.keys() else 1.0
    return workflow, single, apart


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.chain", description=__doc__)
    parser.add_argument("--scans", type=int, nargs=2, default=(1, 3))
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--jobs", type=int, help="`detect.jobs` of the workflow; one job a scan if it is left out")
    parser.add_argument("--pages", action="store_true", help="a page a scan")
    options = parser.parse_args()
    few, many = options.scans
    with tempfile.TemporaryDirectory(prefix="lungline-chain-") as scratch:
        here = Path(scratch)
        costs = []
        for scans in (few, many):
            raw = here / f"raw{scans}"
            raw.mkdir()
            draw_scans(raw, scans)
            costs.append(measure(raw, options.cores, options.jobs, here / f"run{scans}", pages=options.pages))
    jobs = "one job a scan" if options.jobs is None else f"detect.jobs {options.jobs}"
    print(
        f"{few} and {many} generated scans of 300 x 512 x 512, weights of the package, {options.cores} cores, {jobs}\n"
    )
    print(f"| way | CPU s, {few} | CPU s, {many} | CPU s, one more scan | wall s, {many} | CPU s, 20, by these |")
    print("|---|---|---|---|---|---|")
    of_20 = []
    for number, name in enumerate(("workflow", "one process")):
        first, last = costs[0][number], costs[1][number]
        more = (last.cpu_s - first.cpu_s) / (many - few)
        of_20.append(last.cpu_s + (20 - many) * more)
        print(f"| {name} | {first.cpu_s:.1f} | {last.cpu_s:.1f} | {more:.1f} | {last.wall_s:.1f} | {of_20[-1]:.0f} |")
    print(
        f"\nstart-up, scheduling, reading again, of 20 scans: {1 - of_20[1] / of_20[0]:.1%} of the workflow's CPU time"
    )
    difference = max(cost[2] for cost in costs)
    print(f"largest difference of a probability: {difference:.2g}")
    return int(difference > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
