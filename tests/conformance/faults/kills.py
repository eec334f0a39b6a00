"""kill -9 of the workflow or of any of its children, five times on its way; then the same command."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.conformance.faults.workspace import FRONTS, PATIENCE_S, Workspace, differences, kill, tree

VICTIMS = ("everything", "the workflow", "one process")
KILLS_A_RUN = 5


def choose(processes: list[psutil.Process], whom: str, dice: random.Random) -> list[psutil.Process]:
    """Whom to kill: all, as a power cut does; `./run` and Snakemake alone; or one process below `./run`.

    `./run` alone is not killed: Snakemake lives on, and the command rightly refuses (see `double_starts.py`).
    """
    if whom == "everything":
        return processes
    if whom == "one process":
        return [dice.choice(processes[1:] or processes)]
    return processes[:2]  # ./run and Snakemake: their jobs live on


def called(words: Sequence[str]) -> str:
    """A process in a word or two, from its command line: "./run", "snakemake", "train-unet", "shell"."""
    names = [Path(word).name for word in words]
    if any(name in ("lungline", "cli.py") for name in names[:3]):
        at = next(k for k, name in enumerate(names) if name in ("lungline", "cli.py"))
        return " ".join(words[at + 1 : at + 2])
    if "snakemake" in names[:3]:
        return "snakemake"
    if "run" in names[:2]:
        return "./run"
    return "shell" if names[:1] and names[0] in ("bash", "sh") else " ".join(names[:1])


def until(share: float, process: subprocess.Popen[bytes], wanted: Sequence[Path]) -> None:
    """Wait until a share of the wanted files is there, or the run has ended."""
    while process.poll() is None and sum(path.is_file() for path in wanted) < share * len(wanted):
        time.sleep(0.05)


def kill_some(place: Workspace, share: float, wanted: Sequence[Path], dice: random.Random) -> dict[str, object] | None:
    """Start the command, and kill someone when a share of the files is there; None if it ended before."""
    whom, more_s = dice.choice(VICTIMS), dice.uniform(0, 3)
    process = place.start()
    until(share, process, wanted)
    time.sleep(more_s)
    alive = tree(process.pid) if process.poll() is None else []
    victims = {process: command(process) for process in choose(alive, whom, dice)} if alive else {}
    kill(list(victims))
    process.wait()  # after the death of a child the workflow ends by itself
    psutil.wait_procs(alive, timeout=PATIENCE_S)  # jobs that live on must end before the lock may be taken away
    place.unlock()
    if not victims:
        return None
    killed = Counter(called(words) for words in victims.values() if words)
    return {"share": round(share, 2), "whom": whom, "killed": dict(killed), "torn": place.torn()[:5]}


def command(process: psutil.Process) -> list[str]:
    """The words of a process; none where it has just ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def try_kills(sound: Workspace, scratch: Path, number: int, seed: int) -> dict[str, Any]:
    """One run with five kill points on its way, and what came of it."""
    dice = random.Random(seed * 1_000_003 + number)
    front = dice.choice(FRONTS)
    shares = sorted(dice.uniform(0, 1) for _ in range(KILLS_A_RUN))
    expected = sound.digests()
    place = sound.copy(scratch)
    try:
        place.forget_from(front)
        wanted = [path for path in (place.results / name for name in expected) if not path.is_file()]
        kills = [found for share in shares if (found := kill_some(place, share, wanted, dice))]
        answer = place.run("again.log")
        wrong = list(differences(expected, place.digests()))
        torn = any(found["torn"] for found in kills)
        return {
            "trial": number,
            "front": front,
            "kills": kills,
            "ended_code": answer.code,
            "ended_s": round(answer.seconds, 1),
            "wrong": wrong[:5],
            "passed": answer.code == 0 and not wrong and not torn,
            "said": "" if answer.code == 0 else answer.said[-3000:],
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def points(results: Iterable[Mapping[str, Any]]) -> int:
    """How often someone was killed."""
    return sum(len(result["kills"]) for result in results)


def victims(results: Iterable[Mapping[str, Any]]) -> str:
    """A table of whom the kills met, and how often."""
    kills = [found for result in results for found in result["kills"]]
    lines = ["| killed | kill points | processes |", "|---|---|---|"]
    for whom in VICTIMS:
        met = [found for found in kills if found["whom"] == whom]
        names = sum((Counter(found["killed"]) for found in met), Counter())
        told = ", ".join(f"{name} {count}" for name, count in names.most_common())
        lines.append(f"| {whom} | {len(met)} | {told} |")
    return "\n".join(lines) + "\n"
