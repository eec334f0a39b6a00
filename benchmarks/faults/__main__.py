"""Run the fault plan and print its figures: `python -m benchmarks.faults`."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.faults import disks, kills, place, resumes, starts

Result = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kill points, five a run (100)")
    parser.add_argument("--disks", type=int, default=10, help="sizes of a full disk (10)")
    parser.add_argument("--resumes", type=int, default=20, help="trainings that are killed and resumed (20)")
    parser.add_argument("--starts", type=int, default=20, help="pairs of runs that start together (20)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random")
    parser.add_argument("--from", dest="first", type=int, default=0, help="number of the first trial of each kind (0)")
    parser.add_argument("--out", type=Path, default=Path("results/faults"), help="where the figures go")
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lungline-faults-") as scratch:
        passed = run_plan(words, Path(scratch))
    return 0 if passed else 1


def run_plan(words: argparse.Namespace, scratch: Path) -> bool:
    """All four parts; every trial is written down when it ends, so that a plan that is cut off has figures, too."""
    empty = place.make(scratch / "empty")
    sound = empty.copy(scratch / "sound")
    answer = sound.run()
    if answer.code:
        sys.exit(f"the run without a fault failed:\n{answer.said[-3000:]}")
    print(f"a run without a fault: {answer.seconds:.0f} s, {len(sound.digests())} files to compare", flush=True)
    numbers = range(words.first, words.first + max(words.resumes, words.starts))
    figures: dict[str, list[Result]] = {}

    def note(kind: str, trials: Iterable[Callable[[], Result]]) -> None:
        results = figures.setdefault(kind, [])
        for number, trial in enumerate(trials):
            began = time.monotonic()
            results.append(trial())
            (words.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            told = {key: value for key, value in results[-1].items() if key != "said" or value}
            print(f"{kind} {number + 1}, {time.monotonic() - began:.0f} s: {told}", flush=True)

    trial = scratch / "trial"

    def runs_with_kills() -> Iterator[Callable[[], Result]]:
        """As many as there must be: a run may end before its last kill."""
        for number in count(words.first):
            if kills.points(figures["kills"]) >= words.kills:
                return
            yield lambda n=number: kills.try_kills(sound, trial, n, words.seed)

    note("kills", runs_with_kills())
    if why := disks.why_not():
        print(f"disks: not run, {why}")
    else:
        shares = [0.03 + 0.92 * k / max(1, words.disks - 1) for k in range(words.disks)]
        note("disks", (lambda s=s: disks.try_full_disk(sound, empty, trial, s) for s in shares))
    if words.resumes:
        trainings = [resumes.Training(sound, kind) for kind in ("unet", "system")]
        known = [resumes.uninterrupted(training, scratch / training.kind) for training in trainings]
        note(
            "resumes",
            (
                lambda n=n: resumes.try_resume(trainings[n % 2], trial, *known[n % 2], n, words.seed)
                for n in numbers[: words.resumes]
            ),
        )
    note("starts", (lambda n=n: starts.try_pair(sound, trial, n, words.seed) for n in numbers[: words.starts]))
    print(table(figures))
    (words.out / "table.md").write_text(table(figures), encoding="utf-8")
    return all(result["passed"] for results in figures.values() for result in results)


FAULTS = {
    "kills": "kill -9 at random points, up to five a run, then the same command: same bytes",
    "disks": "disk full: one clear line, nothing torn, then the same command: same bytes",
    "resumes": "training killed and resumed: same weights and curve",
    "starts": "two runs started together: exactly one runs",
}


def table(figures: dict[str, list[Result]]) -> str:
    lines = ["| fault | passed |", "|---|---|"]
    for kind, sentence in FAULTS.items():
        results = figures.get(kind, [])
        good = sum(bool(result["passed"]) for result in results)
        told = f"{good} of {len(results)}" if results else "not run"
        if results and kind == "kills":
            met = kills.points(result for result in results if result["passed"])
            told = f"{met} of {kills.points(results)} kill points, {told} runs"
        lines.append(f"| {sentence} | {told} |")
    met = [result for result in figures.get("kills", []) if result["kills"]]
    return "\n".join(lines) + "\n" + (f"\n{kills.victims(met)}" if met else "")


if __name__ == "__main__":
    sys.exit(main())
