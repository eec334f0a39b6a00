"""Each step of lungline against the literal way, side by side, its answer checked in the same run.

    python -m benchmarks.speed [--only NAME ...] [--pairs N]

Writes `results.json` (every pair) and `table.md`. Ends with 1 if an answer is wrong; a missed goal is only said.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks.speed import report
from benchmarks.speed.files import cache, reading
from benchmarks.speed.measure import Comparison
from benchmarks.speed.networks import cancer_net, u_net
from benchmarks.speed.simulated_adult import SimulatedAdult
from benchmarks.speed.volumes import candidates, dilation, preparation, resampling
from tests.repository import REPOSITORY, sample_folder

PARTS: dict[str, Callable[[SimulatedAdult], list[Comparison]]] = {
    "u-net": u_net,
    "candidates": candidates,
    "cache": cache,
    "dilate": dilation,
    "resample": resampling,
    "cancer-net": cancer_net,
    "read": reading,
    "prepare": preparation,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(PARTS), default=list(PARTS), help="parts to measure")
    parser.add_argument("--pairs", type=int, default=5, help="how often each pair of ways is run (default 5)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "speed", help="for the figures")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    machine = report.describe_machine()
    print(report.machine_in_words(machine), flush=True)
    found: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="lungline-speed-") as scratch:
        adult = SimulatedAdult(Path(scratch), options.pairs, sample_folder())
        for name in options.only:
            for one in PARTS[name](adult):
                found.append(one)
                print(report.table([one]).splitlines()[-1], flush=True)
            report.write(options.out, machine, sorted(found, key=lambda one: one.goal))  # what is there, if stopped
    return 1 if any(one.verdict == "WRONG" for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
