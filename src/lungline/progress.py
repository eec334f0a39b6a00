"""How far long work is: on a terminal a line that is written over, in a log a plain line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

_BAR = 24  # characters
_ON_TERMINAL_S, _IN_LOG_S = 0.2, 60.0  # between two lines, at least
_OVER = "\r\x1b[K"  # to the start of the line, and nothing on it


def in_words(seconds: float) -> str:
    """A span of time, as coarse as a reader wants it."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class Progress:
    """Tells how many of `total` steps are done, and how long the others may take.

    Parameters
    ----------
    total : int
    done : int
        Steps that were done before, by another process or another day: they say nothing of the time.
    what : str
        What a step is called.
    stream : TextIO or None
        Standard error if left out.
    now : callable
        Seconds of a clock.
    """

    def __init__(
        self,
        total: int,
        *,
        done: int = 0,
        what: str = "step",
        stream: TextIO | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._before, self._what, self._now = total, done, what, now
        self._stream = sys.stderr if stream is None else stream
        self._started = self._told = now()
        self._terminal = self._stream.isatty()
        self._shown = False

    def left(self, done: int) -> str:
        """How long the steps that are not done may take, in words; "" while nothing is known."""
        if not self._before < done < self._total:
            return ""
        a_step = (self._now() - self._started) / (done - self._before)
        return f"about {in_words(a_step * (self._total - done))} left"

    def tell(self, done: int, words: str = "") -> None:
        """Say that `done` steps are done, unless something was said a moment ago."""
        now = self._now()
        if now - self._told < (_ON_TERMINAL_S if self._terminal else _IN_LOG_S):
            return
        self._told = now
        parts = [f"{self._what} {done} of {self._total}", words, self.left(done)]
        line = ", ".join(filter(None, parts))
        if self._terminal:
            filled = _BAR * done // max(self._total, 1)
            print(f"{_OVER}[{'#' * filled}{'.' * (_BAR - filled)}] {line}", end="", file=self._stream, flush=True)
            self._shown = True
        else:
            print(line, file=self._stream, flush=True)

    def clear(self) -> None:
        """Take the line off the terminal, so that others may write."""
        if self._shown:
            print(_OVER, end="", file=self._stream, flush=True)
            self._shown = False


def sayer(prefix: str) -> Callable[..., None]:
    """What one thing goes through: on a terminal a line that is written over, elsewhere a line each."""

    def say(words: str, last: bool = False) -> None:
        terminal = sys.stderr.isatty()
        start, end = (_OVER if terminal else ""), ("\n" if last or not terminal else "")
        print(f"{start}{prefix}{words}", end=end, file=sys.stderr, flush=True)

    return say
