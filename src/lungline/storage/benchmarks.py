"""What jobs cost, from the benchmark files that Snakemake writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lungline.errors import LunglineError


@dataclass(frozen=True)
class Cost:
    """Of one or several jobs: wall clock and CPU seconds in sum, peak resident memory in MB of the largest.

    None where it was not measured, as of jobs that end at once.
    """

    seconds: float | None
    cpu_seconds: float | None
    peak_mb: float | None


NOT_MEASURED = Cost(None, None, None)


def read_cost(paths: Sequence[Path]) -> Cost:
    """Cost of the jobs with these benchmark files; not measured if there is none or one is missing."""
    if not paths or not all(path.is_file() for path in paths):
        return NOT_MEASURED
    jobs = [_read(path) for path in paths]
    seconds, cpu_seconds, peaks = ([job[name] for job in jobs] for name in ("s", "cpu_time", "max_rss"))
    return Cost(_total(seconds), _total(cpu_seconds), max((p for p in peaks if p is not None), default=None))


def _total(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _read(path: Path) -> dict[str, float | None]:
    lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    if len(lines) < 2 or not {"s", "cpu_time", "max_rss"} <= set(lines[0]):
        raise LunglineError(f"{path}: expected a benchmark with the columns s, cpu_time, max_rss. Run the step again.")
    return {name: _number(word) for name, word in zip(lines[0], lines[-1], strict=True) if name != "h:m:s"}


def _number(word: str) -> float | None:
    try:
        return float(word)
    except ValueError:  # "-" or "NA": ended before it was looked at
        return None
