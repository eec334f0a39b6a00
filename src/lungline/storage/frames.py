"""Tables that our own steps and Snakemake wrote, as data frames: for statistics, and for people."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.former_names import former_columns
from lungline.storage.checksums import check

CURVE_COLUMNS = ["step", "train_loss", "valid_loss"]
_USED = ("cpu_s", "peak_mb")


def read_frame(path: Path, columns: list[str]) -> pd.DataFrame:
    """These columns of a CSV table as text: an id 007 keeps its zeros, an id NA stays an id, nothing is "".

    `LunglineError` if the table lacks a column or is none, or does not fit its checksum.
    """
    check(path)
    try:
        return pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False)[columns]
    except ValueError as error:
        header = path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].split(",")
        former = former_columns(header, set(columns) - set(header))
        raise LunglineError(
            f"{path}: expected a table with {', '.join(columns)}. {error}.{former} Make it again."
        ) from None


def read_numbers(path: Path, columns: list[str]) -> pd.DataFrame:
    """`read_frame` as float64; `LunglineError` with the line for another word."""
    table = read_frame(path, columns)
    try:
        return table.astype(np.float64)
    except ValueError as error:
        wrong = table.apply(pd.to_numeric, errors="coerce").isna().any(axis=1)
        raise LunglineError(f"{path}, line {wrong.argmax() + 2}: {error}. Expected a number. Make it again.") from None


def read_curve(path: Path) -> dict[str, NDArray[np.float64]]:
    """The columns step, train_loss and valid_loss (k,) of a `learning_curve.csv`."""
    table = read_numbers(path, CURVE_COLUMNS)
    if table.empty:
        raise LunglineError(f"{path}: expected at least one row of {', '.join(CURVE_COLUMNS)}. Train again.")
    return {name: table[name].to_numpy() for name in CURVE_COLUMNS}


def training_name(path: Path) -> str:
    """What was trained, read off the folder: `paper z` for `paper/z/learning_curve.csv`, `m2` for a classifier's."""
    folder = Path(path).absolute().parent
    return f"{folder.parent.name} {folder.name}" if folder.name in ("z", "y", "x") else folder.name


def largest_diameters(path: Path) -> dict[str, float]:
    """Diameter in mm of the largest nodule of each scan in a `ground_truth.csv`; scans without a nodule are absent."""
    largest = read_numbers(path, ["diameter_mm"])["diameter_mm"].groupby(read_frame(path, ["scan"])["scan"]).max()
    return {str(scan): float(diameter) for scan, diameter in largest.items()}


@dataclass(frozen=True)
class Cost:
    """Of one or several jobs: wall clock and CPU seconds in sum, peak of memory in MB of their largest process.

    None where it was not measured.
    """

    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_mb: float | None = None


NOT_MEASURED = Cost()


def read_cost(paths: Sequence[Path]) -> Cost:
    """Cost of the jobs with these benchmark files (.tsv) of Snakemake; not measured if there is none or one is missing.

    Snakemake tells the seconds. Its other columns are samples, which miss what happens between two looks and the end of
    a job: CPU and memory are what the job itself wrote beside it (.json).
    """
    if not paths or not all(path.is_file() for path in paths):
        return NOT_MEASURED
    seconds, used = sum(map(_seconds, paths)), [_used(path.with_suffix(".json")) for path in paths]
    if None in used:
        return Cost(seconds)
    cpu_s, peak_mb = zip(*filter(None, used), strict=True)
    return Cost(seconds, sum(cpu_s), max(peak_mb))


def _seconds(path: Path) -> float:
    try:
        return float(pd.read_csv(path, sep="\t", usecols=["s"], dtype=str)["s"].iloc[-1])
    except (ValueError, IndexError):
        raise LunglineError(f"{path}: expected a benchmark with the column s. Run the step again.") from None


def _used(path: Path) -> tuple[float, float] | None:
    """CPU seconds and peak in MB; None where they were not written."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        return tuple(float(about[name]) for name in _USED)  # type: ignore[return-value]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise LunglineError(f"{path}: expected numbers for {' and '.join(_USED)}. Run the step again.") from None
