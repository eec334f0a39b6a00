"""Two ways of doing one thing, timed in turn, and what must be equal between them."""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

Theirs = TypeVar("Theirs")
Ours = TypeVar("Ours")


@dataclass(frozen=True)
class Took:
    """Seconds of one run: CPU time of this process and of the children it waited for, and wall time."""

    cpu: float
    wall: float


def cpu_seconds() -> float:
    """CPU time so far, all threads and finished children counted."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def interleave(
    theirs: Callable[[], Theirs],
    ours: Callable[[], Ours],
    pairs: int,
    clock: Callable[[], Took] = lambda: Took(cpu_seconds(), time.perf_counter()),
) -> tuple[list[tuple[Took, Took]], Theirs, Ours]:
    """Run theirs, ours, theirs, ours ... `pairs` times; the times, and the last answers.

    Neighbours see the same load of the machine, so a ratio is taken of each pair, and then the median, which a first
    run that sets things up does not move.
    """
    taken = []
    for _ in range(pairs):
        before = clock()
        answer = theirs()
        between = clock()
        own_answer = ours()
        after = clock()
        taken.append(
            (
                Took(between.cpu - before.cpu, between.wall - before.wall),
                Took(after.cpu - between.cpu, after.wall - between.wall),
            )
        )
    return taken, answer, own_answer


def interleave_apart(
    theirs: Callable[[], Theirs],
    ours: Callable[[], Ours],
    pairs: int,
    set_up: Callable[[], None],
    warm_ups: int = 0,
) -> tuple[list[tuple[Took, Took]], Theirs, Ours]:
    """As `interleave`, but each run is in a child process of its own, after some warm-ups; ours after `set_up`, too."""
    taken = []
    for _ in range(pairs):
        his, answer = _apart(theirs, lambda: None, warm_ups)
        own, own_answer = _apart(ours, set_up, warm_ups)
        taken.append((his, own))
    return taken, answer, own_answer


def _apart(work: Callable[[], Ours], set_up: Callable[[], None], warm_ups: int) -> tuple[Took, Ours]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            set_up()
            for _ in range(warm_ups):
                work()
            cpu, wall = cpu_seconds(), time.perf_counter()
            answer = work()
            took = Took(cpu_seconds() - cpu, time.perf_counter() - wall)
            with os.fdopen(writing, "wb") as pipe:
                pickle.dump((took, answer), pipe, protocol=5)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said: tuple[Took, Ours] = pickle.load(pipe)
    os.waitpid(child, 0)
    return said


def peak_mib(work: Callable[[], object]) -> float:
    """Memory in MiB that `work` takes at most beyond what this process holds; it runs in a child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            ctypes.CDLL(None).malloc_trim(0)  # else `work` may live on what the parent has freed and kept
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the parent's peak
            held = _peak_bytes()
            work()
            peak = _peak_bytes() - held
            os.write(writing, str(peak).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return float(said or "nan") / 2**20


def _peak_bytes() -> int:
    """Most memory that this process has held (Linux)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@dataclass(frozen=True)
class Check:
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
    """One line of the table.

    Attributes
    ----------
    goal : int
        Number in the list of goals.
    what, theirs, ours : str
        What is done, and in which two ways.
    pairs : list of (Took, Took)
        Theirs and ours.
    at_least : float or None
        The ratio of CPU time that is asked for; None where it is only reported.
    checks : tuple of Check
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
        return statistics.median(theirs.cpu / ours.cpu for theirs, ours in self.pairs)

    @property
    def wall_ratio(self) -> float:
        return statistics.median(theirs.wall / ours.wall for theirs, ours in self.pairs)

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
