"""Run the fault plan and print its figures: `python -m tests.conformance.faults`. Cut off, the same command goes on."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

from tests.conformance.faults import double_starts, full_disks, kills, resumed_trainings, workspace
from tests.repository import REPOSITORY
from tests.workflow_copy import PARTS

Result = dict[str, Any]
Figures = dict[str, list[Result]]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="kill points, five a run (100)")
    parser.add_argument("--disks", type=int, default=10, help="sizes of a full disk (10)")
    parser.add_argument("--resumes", type=int, default=20, help="trainings that are killed and resumed (20)")
    parser.add_argument("--starts", type=int, default=20, help="pairs of runs that start together (20)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random")
    parser.add_argument("--out", type=Path, default=Path("results/faults"), help="where figures and copies are")
    words = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("cut off; the same command goes on"))
    figures, scratch = begin(words.out.absolute(), words.seed)
    for kind, trial in in_turn(plan(words, figures, scratch)):
        began = time.monotonic()
        result = trial()
        figures[kind].append(result)
        (words.out / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        told = {key: value for key, value in result.items() if key != "said" or value}
        print(f"{kind} {len(figures[kind])}, {time.monotonic() - began:.0f} s: {told}", flush=True)
    print(table(figures))
    (words.out / "table.md").write_text(table(figures), encoding="utf-8")
    shutil.rmtree(scratch)
    return 0 if all(result["passed"] for kind in FAULTS for result in figures[kind]) else 1


def begin(out: Path, seed: int) -> tuple[Figures, Path]:
    """What is known so far, and a folder with a place after a run that nothing disturbed.

    Figures of other code or of another seed are given up.
    """
    file, scratch = out / "figures.json", out / "scratch"
    version = {"version": [{"code": digest_of_code(), "seed": seed}]}
    figures: Figures = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if figures.get("version") != version["version"]:
        shutil.rmtree(scratch, ignore_errors=True)
        figures = version
    for kind in FAULTS:
        figures.setdefault(kind, [])
    if not (scratch / "sound").is_dir():
        shutil.rmtree(scratch, ignore_errors=True)
        answer = workspace.make(scratch / "first").run()
        if answer.code:
            sys.exit(f"the run without a fault failed:\n{answer.said[-3000:]}")
        (scratch / "first").rename(scratch / "sound")
        print(f"a run without a fault: {answer.seconds:.0f} s", flush=True)
        file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures, scratch


def digest_of_code() -> str:
    """Changes when anything changes that a run takes part in."""
    files = [path for part in ("run", *PARTS) for path in (REPOSITORY / part, *(REPOSITORY / part).rglob("*"))]
    kept = sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts)
    return hashlib.sha256(b"".join(path.read_bytes() for path in kept)).hexdigest()[:16]


def plan(words: argparse.Namespace, figures: Figures, scratch: Path) -> dict[str, Iterator[Callable[[], Result]]]:
    """The trials that are still to be made, by kind."""
    sound, trial = workspace.Workspace(scratch / "sound"), scratch / "trial"
    shutil.rmtree(trial, ignore_errors=True)  # of a plan that was cut off

    @cache
    def training(kind: str) -> tuple[resumed_trainings.Training, str, float]:
        one = resumed_trainings.Training(sound, kind)
        return (one, *resumed_trainings.uninterrupted(one, trial))

    def with_kills() -> Iterator[Callable[[], Result]]:
        while kills.points(figures["kills"]) < words.kills:  # a run may end before its last kill
            yield partial(kills.try_kills, sound, trial, len(figures["kills"]), words.seed)

    def with_full_disks() -> Iterator[Callable[[], Result]]:
        for number in range(len(figures["disks"]), words.disks):
            share = 0.03 + 0.92 * number / max(1, words.disks - 1)
            yield partial(full_disks.try_full_disk, sound, trial, number, share)

    def with_resumes() -> Iterator[Callable[[], Result]]:
        for number in range(len(figures["resumes"]), words.resumes):
            kind = ("unet", "classifier")[number % 2]
            yield partial(resumed_trainings.try_resume, *training(kind), trial, number, words.seed)

    def with_starts() -> Iterator[Callable[[], Result]]:
        for number in range(len(figures["starts"]), words.starts):
            yield partial(double_starts.try_pair, sound, trial, number, words.seed)

    if why := full_disks.why_not():
        print(f"disks: not run, {why}")
        words.disks = 0
    return {"kills": with_kills(), "disks": with_full_disks(), "resumes": with_resumes(), "starts": with_starts()}


def in_turn(trials: dict[str, Iterator[Callable[[], Result]]]) -> Iterator[tuple[str, Callable[[], Result]]]:
    """One trial of each kind after the other, so that a plan that is cut off has figures of all."""
    while trials:
        for kind in list(trials):
            trial = next(trials[kind], None)
            if trial is None:
                del trials[kind]
            else:
                yield kind, trial


FAULTS = {
    "kills": "kill -9 at random points, up to five a run, then the same command: same bytes",
    "disks": "disk full: one clear line, nothing torn, then the same command: same bytes",
    "resumes": "training killed and resumed: same weights and curve",
    "starts": "two runs started together: exactly one runs",
}


def table(figures: Figures) -> str:
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
