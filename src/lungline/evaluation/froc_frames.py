"""FROC of candidates and annotations that are pandas tables."""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lungline.errors import LunglineError
from lungline.evaluation import free_response
from lungline.evaluation.free_response import CPM_POINTS, Froc, froc_intervals
from lungline.evaluation.marks import doubts, submitted_marks
from lungline.nodules.annotations import LARGEST_MM, Nodule
from lungline.storage.submissions import Mark

#: How LUNA-16 calls the columns.
_LUNA16 = {"seriesuid": "scan", "coordX": "x_mm", "coordY": "y_mm", "coordZ": "z_mm", "probability": "score"}
_PLACE = ["scan", "x_mm", "y_mm", "z_mm"]


@dataclass(frozen=True, eq=False)
class FrocResult:
    """Free-response ROC of a detector. Research use only.

    Attributes
    ----------
    cpm : float
        Competition performance metric: mean of the sensitivities in `sensitivity_at`, 0..1.
    cpm_interval : (float, float) or None
        95 % interval by bootstrap over scans; None for fewer than two scans.
    scans, nodules : int
        How many were searched, and how many nodules are annotated in them.
    sensitivity_at : pandas.DataFrame
        A row for each of 1/8, 1/4, 1/2, 1, 2, 4, 8 false positives per scan: `false_positives_per_scan`; `sensitivity`,
        interpolated linearly as LUNA-16's script does, with its 95 % interval `low`, `high` (NaN where there is none);
        `score_threshold`: counting the candidates of at least this score gives at most so many false positives per
        scan (infinity: none may be counted).
    curve : pandas.DataFrame
        The corners of the curve: `score_threshold` (falling, first infinity), `false_positives_per_scan`,
        `sensitivity`.
    """

    cpm: float
    cpm_interval: tuple[float, float] | None
    scans: int
    nodules: int
    sensitivity_at: pd.DataFrame = field(repr=False)
    curve: pd.DataFrame = field(repr=False)


def froc(
    candidates: pd.DataFrame,
    annotations: pd.DataFrame,
    *,
    scans: Iterable[object],
    excluded: pd.DataFrame | None = None,
    seed: int = 0,
) -> FrocResult:
    """FROC curve, CPM and score thresholds of nodule candidates, by the rules of LUNA-16's script.

    A candidate hits a nodule if its centre lies strictly within the nodule's radius; of several in one nodule the
    highest score counts. At most the 100 strongest of a scan count. Research use only.

    Parameters
    ----------
    candidates : pandas.DataFrame
        Columns `scan`, `x_mm`, `y_mm`, `z_mm` (world, LPS), `score` (any scale, higher is more likely a nodule), as in
        `lungline.detect(...).candidates`; or LUNA-16's `seriesuid`, `coordX`, `coordY`, `coordZ`, `probability`.
    annotations : pandas.DataFrame
        Columns `scan`, `x_mm`, `y_mm`, `z_mm`, `diameter_mm`, or LUNA-16's. Rows of scans that are not in `scans` are
        left out, copies count once.
    scans : iterable of str
        Every scan that was searched, also those without a candidate or a nodule.
    excluded : pandas.DataFrame, optional
        Findings that count neither way (LUNA-16's `annotations_excluded.csv`); a negative diameter stands for 10 mm.
    seed : int
        Of the bootstrap.

    Returns
    -------
    FrocResult

    Raises
    ------
    LunglineError
        If a column is missing or holds no finite number, a scan is listed twice, a candidate stands there twice or
        belongs to no listed scan, or no annotation belongs to one.

    Notes
    -----
    Source: Setio et al., Medical Image Analysis 42 (2017), 1.

    Examples
    --------
    >>> import lungline, pandas
    >>> candidates = pandas.DataFrame(
    ...     {"scan": ["a", "a", "b"], "x_mm": [10.0, 50.0, 0.0], "y_mm": 0.0, "z_mm": 0.0, "score": [0.9, 0.3, 0.5]}
    ... )
    >>> annotations = pandas.DataFrame({"scan": ["a"], "x_mm": [11.0], "y_mm": 0.0, "z_mm": 0.0, "diameter_mm": 6.0})
    >>> result = lungline.froc(candidates, annotations, scans=["a", "b"])
    >>> result.cpm
    1.0
    >>> result.curve
       score_threshold  false_positives_per_scan  sensitivity
    0              inf                       0.0          0.0
    1              0.9                       0.0          1.0
    2              0.5                       0.5          1.0
    3              0.3                       1.0          1.0
    """
    listed = _ids(scans)
    found = _named(candidates, "candidates", "score")
    if (twice := int(found.duplicated(_PLACE).sum())) > 0:
        raise LunglineError(
            f"candidates: {twice} rows have the scan and the place of an earlier one. Give each candidate once."
        )
    by_scan = defaultdict[str, list[Mark]](list)
    for scan, x, y, z, score in found.itertuples(index=False):
        by_scan[scan].append((x, y, z, score))
    ignored = [] if excluded is None else _nodules(_named(excluded, "excluded", "diameter_mm"))
    marks = submitted_marks(by_scan, listed, _nodules(_annotated(annotations)), ignored)
    result = free_response.froc(marks)
    for sentence in doubts(marks, {"marks_lost_to_ties": result.lost_to_ties}):
        warnings.warn(sentence, stacklevel=2)
    return _as_frames(result, seed)


def _as_frames(result: Froc, seed: int) -> FrocResult:
    intervals = froc_intervals(result, seed=seed)
    allowed = np.searchsorted(result.false_positives_per_scan, CPM_POINTS, side="right") - 1
    at = pd.DataFrame(
        {
            "false_positives_per_scan": CPM_POINTS,
            "sensitivity": [estimate.value for estimate in intervals.at],
            "low": pd.Series([estimate.low for estimate in intervals.at], dtype=np.float64),
            "high": pd.Series([estimate.high for estimate in intervals.at], dtype=np.float64),
            "score_threshold": result.thresholds[allowed],
        }
    )
    curve = pd.DataFrame(
        {
            "score_threshold": result.thresholds,
            "false_positives_per_scan": result.false_positives_per_scan,
            "sensitivity": result.sensitivity,
        }
    )
    low, high = intervals.cpm.low, intervals.cpm.high
    interval = None if low is None or high is None else (low, high)
    return FrocResult(result.cpm, interval, result.scans, result.nodules, at, curve)


def _ids(scans: Iterable[object]) -> list[str]:
    """The listed scans as text."""
    if isinstance(scans, str):
        raise LunglineError(f"scans: expected a list of ids. Got the text '{scans}'. Write [{scans!r}].")
    listed = [str(scan) for scan in scans]
    if not listed or len(set(listed)) < len(listed):
        found = f"{len(listed) - len(set(listed))} of them twice" if listed else "none"
        raise LunglineError(f"scans: expected the id of every scan that was searched, each once. Found {found}.")
    return listed


def _named(table: pd.DataFrame, what: str, last: str) -> pd.DataFrame:
    """The place and the column `last` of each row, under our names; ids as text, the others finite float64."""
    if not isinstance(table, pd.DataFrame):
        raise LunglineError(f"{what}: expected a pandas table. Got {type(table).__name__}.")
    ours = table.rename(columns={theirs: name for theirs, name in _LUNA16.items() if name not in table})
    wanted = [*_PLACE, last]
    if missing := [name for name in wanted if name not in ours]:
        luna16 = ", ".join(theirs for theirs, name in _LUNA16.items() if name in missing)
        hint = f" (LUNA-16: {luna16})" if luna16 else ""
        raise LunglineError(f"{what}: expected the columns {', '.join(wanted)}. {', '.join(missing)} missing{hint}.")
    numbers = ours[wanted[1:]].apply(pd.to_numeric, errors="coerce").astype(np.float64)
    wrong = ours["scan"].isna() | ~np.isfinite(numbers).all(axis=1)
    if wrong.any():
        where = f"{what}, row {int(wrong.argmax())} (from 0)"
        raise LunglineError(f"{where}: expected a scan and finite numbers in {', '.join(wanted[1:])}.")
    return pd.concat([ours["scan"].astype(str), numbers], axis=1)


def _annotated(annotations: pd.DataFrame) -> pd.DataFrame:
    """The annotations, copies left out; `LunglineError` for a size or a place that cannot be."""
    rows = _named(annotations, "annotations", "diameter_mm").drop_duplicates()
    sizes = rows["diameter_mm"]
    if wrong := int((~sizes.between(0, LARGEST_MM, inclusive="right")).sum()):
        raise LunglineError(
            f"annotations: {wrong} rows have a diameter_mm that is not above 0 and at most {LARGEST_MM:g}."
        )
    if twice := int(rows.duplicated(_PLACE).sum()):
        raise LunglineError(f"annotations: {twice} rows give another diameter_mm to the place of an earlier row.")
    return rows


def _nodules(rows: pd.DataFrame) -> list[Nodule]:
    return [Nodule(scan, (x, y, z), diameter) for scan, x, y, z, diameter in rows[[*_PLACE, "diameter_mm"]].to_numpy()]
