"""Two ways of doing one thing, timed in turn, and what must be equal between them."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

Work = Callable[[], Any]


class Took(NamedTuple):
    """Seconds of CPU time, children waited for counted, and of the wall clock; peak memory where it is known."""

    cpu_s: float
    wall_s: float
    peak_mib: float = float("nan")


def now() -> Took:
    """CPU time of this process so far, all threads and finished children counted, and the wall clock."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return Took(sum(part.ru_utime + part.ru_stime for part in used), time.perf_counter())


def timed(work: Work, clock: Callable[[], Took] = now) -> tuple[Took, Any]:
    before = clock()
    answer = work()
    after = clock()
    return Took(after.cpu_s - before.cpu_s, after.wall_s - before.wall_s), answer


def timed_apart(work: Work, set_up: Work = lambda: None, warm_ups: int = 0) -> tuple[Took, Any]:
    """As `timed`, in a child process of its own, after `set_up` and some runs that are not counted."""

    def inside() -> tuple[Took, Any]:
        set_up()
        for _ in range(warm_ups):
            work()
        return timed(work)

    found: tuple[Took, Any] = in_child(inside)
    return found


def interleave(
    theirs: Work, ours: Work, pairs: int, time_theirs: Callable = timed, time_ours: Callable = timed
) -> tuple[list[tuple[Took, Took]], Any, Any]:
    """Run theirs, ours, theirs, ours ... `pairs` times; the times, and the last answers.

    Neighbours see the same load of the machine, so a ratio is taken of each pair, and then the median, which a first
    run that sets things up does not move.
    """
    found = [(time_theirs(theirs), time_ours(ours)) for _ in range(pairs)]
    return [(his[0], own[0]) for his, own in found], found[-1][0][1], found[-1][1][1]


def in_child(work: Work) -> Any:
    """What `work` returns in a forked child; None if it fails there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            answer = pickle.dumps(work(), protocol=5)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(answer)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(said) if said else None


def peak_mib(work: Work) -> float:
    """Memory in MiB that `work` takes at most beyond what this process holds; nan if it fails (Linux)."""

    def held() -> int:
        return int(Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0])

    def inside() -> int:
        ctypes.CDLL(None).malloc_trim(0)  # else `work` may live on what the parent has freed and kept
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the parent's peak
        before = held()
        work()
        return held() - before

    found = in_child(inside)
    return float("nan") if found is None else found / 1024


def run_command(words: Sequence[str], log: Path | None = None, **options: Any) -> Took:
    """What a command and all below it take; its words go into `log`. `CalledProcessError` if it ends badly."""
    started = time.perf_counter()
    with open(log or os.devnull, "wb") as out:
        child = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT if log else None, **options)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, words[0], log and log.read_bytes()[-2000:])
    return Took(used.ru_utime + used.ru_stime, time.perf_counter() - started, used.ru_maxrss / 1024)


class Check(NamedTuple):
    """What must hold of our answer, beside its speed; or is only reported."""

    what: str
    found: float
    asked: Literal["<=", ">=", "==", "reported"]
    limit: float = 0.0

    @property
    def holds(self) -> bool:
        if self.asked in ("==", "reported"):
            return self.asked == "reported" or self.found == self.limit
        return self.found <= self.limit if self.asked == "<=" else self.found >= self.limit

    def __str__(self) -> str:
        return f"{self.what} {self.found:.4g} ({self.asked}{'' if self.asked == 'reported' else f' {self.limit:g}'})"


@dataclass(frozen=True)
class Comparison:
    """One line of the table: number of the goal, what is done in which two ways, and the times of each pair.

    `at_least` is the ratio of CPU time that is asked for; None where it is only reported.
    """

    goal: int
    what: str
    theirs: str
    ours: str
    pairs: list[tuple[Took, Took]]
    at_least: float | None = None
    checks: tuple[Check, ...] = ()

    @property
    def cpu_ratio(self) -> float:
        return statistics.median(theirs.cpu_s / ours.cpu_s for theirs, ours in self.pairs)

    @property
    def verdict(self) -> Literal["reached", "missed", "reported", "WRONG"]:
        """WRONG if a check does not hold; the ratio cannot make up for it."""
        if not all(check.holds for check in self.checks):
            return "WRONG"
        if self.at_least is None:
            return "reported"
        return "reached" if self.cpu_ratio >= self.at_least else "missed"


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Twice the overlap of two masks over the sum of both."""
    return float(2 * np.count_nonzero(one & two) / max(1, np.count_nonzero(one) + np.count_nonzero(two)))
