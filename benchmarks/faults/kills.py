"""kill -9 of the workflow or of any of its children, at a random time; then the same command once."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks.faults.place import Place, differences, kill, tree

#: What still has to be made when a trial starts: everything, or from one step on.
FRONTS = ("cohort", "ingest", "cache_volume", "train_unet", "detect", "train_system")
VICTIMS = ("everything", "the workflow", "one process")


def choose(processes: list[psutil.Process], whom: str, dice: random.Random) -> list[psutil.Process]:
    """Whom to kill: all, as a power cut does; `./run` and Snakemake alone; or one process, whichever."""
    if whom == "everything":
        return processes
    if whom == "one process":
        return [dice.choice(processes)]
    return processes[:2]  # ./run and Snakemake: their jobs live on


def until(share: float, process: subprocess.Popen[bytes], place: Place, expected: list[str]) -> None:
    """Wait until a share of the missing files is there, or the run has ended."""
    missing = [path for path in (place.results / name for name in expected) if not path.is_file()]
    wanted = share * len(missing)
    while process.poll() is None and sum(path.is_file() for path in missing) < wanted:
        time.sleep(0.05)


def try_kill(sound: Place, scratch: Path, number: int, seed: int) -> dict[str, object]:
    """One kill point and what came of it."""
    dice = random.Random(seed * 1_000_003 + number)
    front, whom = dice.choice(FRONTS), dice.choice(VICTIMS)
    expected = sound.digests()
    place = sound.copy(scratch)
    try:
        place.forget_from(front)
        share, more_s = dice.uniform(0, 1), dice.uniform(0, 3)
        process = place.start()
        until(share, process, place, list(expected))
        time.sleep(more_s)
        alive = tree(process.pid)
        victims = choose(alive, whom, dice) if alive else []
        told = [" ".join(victim.cmdline()[1:4])[:80] for victim in victims if victim.is_running()]
        kill(victims)
        process.wait()  # after the death of a child the workflow ends by itself
        torn = place.torn()
        answer = place.run("again.log")
        wrong = list(differences(expected, place.digests()))
        return {
            "trial": number,
            "front": front,
            "whom": whom,
            "share": round(share, 2),
            "killed": told[:3],
            "hit": bool(victims),
            "resumed_code": answer.code,
            "resumed_s": round(answer.seconds, 1),
            "torn": torn[:5],
            "wrong": wrong[:5],
            "passed": answer.code == 0 and not wrong and not torn,
            "said": "" if answer.code == 0 else answer.said[-3000:],
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
