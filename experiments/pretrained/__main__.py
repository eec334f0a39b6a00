"""One command: measure the weights in the package, and the paper's configuration on the same data, and print the table.

    python -m experiments.pretrained [--results results/pretrained] [--out results/pretrained/benchmark]

Reads the result tree of `./run pretrained --configfile config/pretrained.yaml`, and the sample data. The baseline is
measured if the three networks in `results/pretrained/train_unet/paper-small/` were made by the same configuration.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from experiments.pretrained import baseline, found, implanted
from experiments.pretrained.implanted import BASELINE, OURS
from lungline.detection.slices import AXES
from tests.repository import REPOSITORY, sample_folder

JUDGED = Path(__file__).with_name("judged.csv")  # places that `false_positives` drew, and what lies there


def measure(results: Path, out: Path, seed: int) -> list[implanted.Line]:
    """Every line on the implanted test scans."""
    threshold = implanted.choose_threshold(results, results / "detect" / OURS)
    ranked = implanted.rank_all(results, OURS, out / "ranked")
    lines = [
        *implanted.detection(results, OURS, ranked, seed),
        *implanted.outlines(results, OURS, results / "detect" / OURS, threshold, seed),
        *implanted.malignancy(results, OURS, OURS, ranked, seed),
    ]
    if all((results / "train_unet" / BASELINE / axis / "card.json").is_file() for axis in AXES):
        searched = baseline.search(results, BASELINE, out / BASELINE)
        lines += implanted.detection(results, BASELINE, searched, seed)
        lines += implanted.outlines(results, BASELINE, searched, baseline.THRESHOLD, seed)
    return lines


def causes() -> dict[str, tuple[int, int]]:
    """What lies at the places of judged.csv -> how many places, and marks in all scans; most marks first."""
    places: Counter[str] = Counter()
    marks: Counter[str] = Counter()
    with open(JUDGED, newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            places[row["cause"]] += 1
            marks[row["cause"]] += int(row["scans"])
    return {cause: (places[cause], count) for cause, count in marks.most_common()}


def table(lines: list[implanted.Line], answers: list[found.Found], scans: int) -> str:
    """Markdown."""
    text = ["| who | figure | of | value (95 % interval) |", "|---|---|---|---|"]
    text += [f"| {line.who} | {line.figure} | {line.count} | {line.value} |" for line in lines]
    text += [
        "",
        "| found, not implanted | rank | score | candidates | seconds | of the CPUs |",
        "|---|---|---|---|---|---|",
    ]
    text += [
        f"| {a.case} | {a.rank or 'not found'} | {'-' if a.score is None else f'{a.score:.3f}'} | {a.candidates} "
        f"| {a.seconds:.0f} | {a.cpu_seconds:.0f} |"
        for a in answers
    ]
    text += [
        "",
        "| what is marked in three or more test scans, judged by eye | places | marks per scan |",
        "|---|---|---|",
    ]
    text += [f"| {cause} | {places} | {marks / scans:.2f} |" for cause, (places, marks) in causes().items()]
    return "\n".join(text) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained", description=__doc__)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "pretrained")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pretrained" / "benchmark")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    parser.add_argument("--skip-predict", action="store_true", help="leave out the scans on which predict is called")
    options = parser.parse_args()
    samples = sample_folder()
    options.out.mkdir(parents=True, exist_ok=True)
    lines = measure(options.results, options.out, options.seed)
    answers = [] if options.skip_predict or samples is None else found.predict(samples, options.out)
    text = table(lines, answers, len(implanted.scans_of(options.results, "test")))
    about = {"lines": [asdict(line) for line in lines], "found": [asdict(answer) for answer in answers]}
    (options.out / "figures.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    (options.out / "table.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
