"""Progress of long work: on a terminal one line that is rewritten, in a log a line now and then."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

_BAR = 24  # characters
_ON_TERMINAL_S, _IN_LOG_S = 0.2, 60.0  # between two lines, at least
_OVER = "\r\x1b[K"  # to the start of the line, and nothing on it


def format_duration(seconds: float) -> str:
    """A duration as text: seconds, minutes or hours."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@dataclass
class Progress:
    """Logs how many of `total` steps are done, and an estimate of the time left; `now` is a clock in seconds.

    Steps that were `done` before the start do not count for the estimate.
    """

    total: int
    done: int = 0
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    now: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._started = self._told = self.now()
        self._terminal, self._shown = self.stream.isatty(), False

    def left(self, done: int) -> str:
        """Estimate of the time left, as text; "" while there is none."""
        if not self.done < done < self.total:
            return ""
        a_step = (self.now() - self._started) / (done - self.done)
        return f"about {format_duration(a_step * (self.total - done))} left"

    def log(self, done: int, words: str = "") -> None:
        """Log that `done` steps are done, unless a line was written a moment ago."""
        now = self.now()
        if now - self._told < (_ON_TERMINAL_S if self._terminal else _IN_LOG_S):
            return
        self._told = now
        line = ", ".join(filter(None, [f"step {done} of {self.total}", words, self.left(done)]))
        if self._terminal:
            filled = _BAR * done // max(self.total, 1)
            print(f"{_OVER}[{'#' * filled}{'.' * (_BAR - filled)}] {line}", end="", file=self.stream, flush=True)
            self._shown = True
        else:
            print(line, file=self.stream, flush=True)

    def clear(self) -> None:
        """Clear the line on the terminal."""
        if self._shown:
            print(_OVER, end="", file=self.stream, flush=True)
            self._shown = False


def status_line(prefix: str) -> Callable[..., None]:
    """A function that shows the state of one item: on a terminal one line that is rewritten, elsewhere a line each."""

    def show(words: str, last: bool = False) -> None:
        terminal = sys.stderr.isatty()
        start, end = (_OVER if terminal else ""), ("\n" if last or not terminal else "")
        print(f"{start}{prefix}{words}", end=end, file=sys.stderr, flush=True)

    return show
