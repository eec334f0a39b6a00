"""`lungline froc` on many scans beside the rules of LUNA-16's script told step by step (tests/literal_froc.py).

    python -m benchmarks.froc                 # 10,000 scans of 100 marks, both ways
    python -m benchmarks.froc --literal 1000  # the step-by-step way on 1,000 scans alone
    python -m benchmarks.froc --script noduleCADEvaluationLUNA16.py --scans 1000 --rounds 1000

With --script a copy of LUNA-16's own script, made to run in Python 3, takes the place of the step-by-step way; its
intervals of --rounds rounds are left out with 0, as they take days for 10,000 scans.

Ours is the whole command in a process of its own: reading, curve, counts, intervals of 1,000 rounds, JSON and page. The
other way only reads the tables and makes the curve. The script walks through all marks for each scan, so its time grows
with the square of the scans; `gathered` is that way with the marks sorted by scan first, which the script does not do.
Ends with 1 if ours takes 1 GiB, or more than a tenth of the CPU time of the step-by-step way on all scans.
"""

import argparse
import csv
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.speed.measure import Took, run_command
from lungline.evaluation.free_response import CPM_POINTS
from lungline.nodules.annotations import COLUMNS
from lungline.storage.submissions import MARK_COLUMNS
from tests.literal_froc import literal_froc

_MOST_MIB = 1024


def write_tables(folder: Path, scans: int, marks: int, seed: int = 0) -> None:
    """A submission of random marks, 0 to 2 nodules a scan, a third of which a mark hits."""
    rng = np.random.default_rng(seed)
    ids = [f"1.3.6.1.4.1.{number:06d}" for number in range(scans)]
    nodules = {scan: rng.uniform(0, 300, (number % 3, 3)).round(4) for number, scan in enumerate(ids)}
    (folder / "ids.csv").write_text("".join(f"{scan}\n" for scan in ids))
    with open(folder / "truth.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([scan, *place, 8.0] for scan, places in nodules.items() for place in places.tolist())
    with open(folder / "marks.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(MARK_COLUMNS)
        for scan in ids:
            points = rng.uniform(0, 300, (marks, 3)).round(6)
            for number in range(len(nodules[scan]) if rng.random() < 1 / 3 else 0):
                points[number] = nodules[scan][number] + 1
            writer.writerows([scan, *row] for row in np.column_stack([points, rng.random(marks).round(6)]).tolist())


def ours(folder: Path) -> tuple[Took, float]:
    """What the command takes, and the CPM that it writes."""
    words = ["--submission", "marks.csv", "--annotations", "truth.csv", "--seriesuids", "ids.csv", "--out", "o.json"]
    took = run_command([sys.executable, "-m", "lungline.cli", "froc", *words], cwd=folder)
    return took, json.loads((folder / "o.json").read_text())["froc"]["cpm"]["value"]


def literal(folder: Path, *, gathered: bool) -> tuple[float, float]:
    """CPU seconds and CPM of the step-by-step way."""
    start = time.process_time()
    ids = (folder / "ids.csv").read_text().split()
    tables = []
    for name in ("truth.csv", "marks.csv"):
        with open(folder / name, newline="") as file:
            tables.append(list(csv.reader(file))[1:])
    curve = literal_froc(ids, tables[0], [], tables[1], gathered=gathered)
    cpm = float(np.interp(CPM_POINTS, curve.false_positives_per_scan, curve.sensitivity).mean())
    return time.process_time() - start, cpm


_CALL = """
import importlib.util, pathlib, sys
path, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
sys.path.insert(0, str(path.parent))
spec = importlib.util.spec_from_file_location("script", path)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
script.bPerformBootstrapping, script.bNumberOfBootstrapSamples = rounds > 0, rounds
script.noduleCADEvaluation("truth.csv", "excluded.csv", "ids.csv", "marks.csv", ".")
"""


def script(folder: Path, path: Path, rounds: int) -> tuple[Took, float]:
    """What LUNA-16's own script takes, and the CPM of the curve that it writes."""
    (folder / "excluded.csv").write_text(",".join(COLUMNS) + "\n")
    took = run_command([sys.executable, "-W", "ignore", "-c", _CALL, str(path.absolute()), str(rounds)], cwd=folder)
    rates, found, _ = np.loadtxt(folder / "froc_marks.txt", delimiter=",").T
    return took, float(np.interp(CPM_POINTS, rates, found).mean())


def beside_script(path: Path, scans: int, marks: int, rounds: int) -> int:
    """Print what both take; 1 if ours takes 1 GiB, or more than a tenth of the script's CPU time."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_tables(folder, scans, marks)
        took, cpm = ours(folder)
        print(f"{scans} scans of {marks} marks: lungline froc {_in_words(took)}", flush=True)
        other, its = script(folder, path, rounds)
    assert abs(cpm - its) < 1e-8, (cpm, its)  # it writes nine digits
    print(f"  the script, {rounds} rounds: {_in_words(other)}, {other.cpu_s / took.cpu_s:.1f} times ours")
    return int(took.peak_mib >= _MOST_MIB or other.cpu_s <= 10 * took.cpu_s)


def _in_words(took: Took) -> str:
    return f"{took.cpu_s:.1f} s, {took.peak_mib:.0f} MiB"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=10_000)
    parser.add_argument("--marks", type=int, default=100)
    parser.add_argument("--literal", type=int, default=10_000, help="scans of the step-by-step way")
    parser.add_argument("--script", type=Path, help="a copy of LUNA-16's script")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of the script's intervals")
    words = parser.parse_args()
    if words.script:
        return beside_script(words.script, words.scans, words.marks, words.rounds)
    good = True
    for scans in sorted({words.literal, words.scans}):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            write_tables(folder, scans, words.marks)
            took, cpm = ours(folder)
            print(f"{scans} scans of {words.marks} marks: lungline froc {_in_words(took)}", flush=True)
            good &= took.peak_mib < _MOST_MIB
            for gathered in (True, False):
                if not gathered and scans > words.literal:
                    print("  step by step: not run")
                    continue
                other, its = literal(folder, gathered=gathered)
                assert abs(cpm - its) < 1e-9, (cpm, its)
                name = "gathered, without intervals" if gathered else "step by step, without intervals"
                print(f"  {name}: {other:.1f} s, {other / took.cpu_s:.2f} times ours", flush=True)
                good &= gathered or scans < words.scans or other > 10 * took.cpu_s
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
