"""A detector on a chest that it was not trained on: `python -m experiments.pretrained.left_out --results DIR`.

Reads the result tree of `./run DIR/evaluate/detection-pretrained.json --configfile config/pretrained.yaml FILE`, where
FILE holds, at the full size,

    outdir: DIR
    implanted: {leave_out: CHEST}

and for the half-size trainings of the model card

    outdir: DIR
    implanted: {leave_out: CHEST, scans: {train: {scans: 75}}}
    detectors:
      pretrained:
        training: {steps: 3000}
        fpr: {scans: 42, training: {steps: 3000}, network: {channels: [16, 16, 32, 32, 64, 64]}}

Writes DIR/benchmark/left_out.json.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from experiments.pretrained import implanted
from experiments.pretrained.implanted import OURS


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained.left_out", description=__doc__)
    parser.add_argument("--results", type=Path, nargs="+", required=True, help="a result tree for each chest left out")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    options = parser.parse_args()
    print("| chest left out | figure | of | value (95 % interval) |\n|---|---|---|---|")
    for results in options.results:
        out = results / "benchmark"
        lines = implanted.detection(results, OURS, implanted.rank_all(results, OURS, out / "ranked"), options.seed)
        (out / "left_out.json").write_text(json.dumps([asdict(line) for line in lines], indent=1), encoding="utf-8")
        for line in lines:
            print(f"| {results.name} | {line.figure} | {line.count} | {line.value} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
