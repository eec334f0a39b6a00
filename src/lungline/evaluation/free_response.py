"""Free-response ROC of nodule detection, as LUNA-16 scores it.

The rules are those of LUNA-16's official script (Setio et al., Medical Image Analysis 42, 2017, 1), odd ones
included: they are what published figures mean.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.errors import LunglineError
from lungline.evaluation.intervals import Estimate, percentile_interval, resamples

#: False positives per scan at which the sensitivity is averaged (CPM).
CPM_POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
MOST_MARKS = 100
_COUNTED = ("marks_after_cut", "ignored_on_excluded", "ignored_double", "lost_to_ties")
DIAMETER_OF_UNSIZED_MM = 10.0  # an annotation with a negative diameter


@dataclass(frozen=True)
class Finding:
    """An annotated place: centre as world (x, y, z) mm and diameter in mm (negative: not measured)."""

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float


@dataclass(frozen=True)
class ScanMarks:
    """The marks of a detector in one scan, points (n, 3) with scores (n,), and the findings of the readers.

    A higher score means more likely a nodule; keep them unsaturated: ties at the cut all vanish. The nodules are to be
    found; on an excluded finding a mark counts neither as a hit nor as a false positive.
    """

    points_xyz_mm: ArrayLike
    scores: ArrayLike
    nodules: Sequence[Finding]
    excluded: Sequence[Finding] = ()


@dataclass(frozen=True)
class ScanScore:
    """One scan after matching: score of each found nodule, of each false positive, and the counts.

    `lost_to_ties` is how many marks fewer than allowed were left, because they tied at the cut. What was not counted
    as a hit or a false positive is not known of scores that are read back.
    """

    hits: NDArray[np.float64]
    false_positives: NDArray[np.float64]
    nodules: int
    marks_after_cut: int = 0
    ignored_on_excluded: int = 0
    ignored_double: int = 0
    lost_to_ties: int = 0


@dataclass(frozen=True)
class Froc:
    """The curve of all scans, its corners (k,), flat beyond the last; and the counts over all scans."""

    false_positives_per_scan: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    scans: int
    nodules: int
    true_positives: int
    false_positives: int
    marks_after_cut: int
    ignored_on_excluded: int
    ignored_double: int
    lost_to_ties: int
    per_scan: Sequence[ScanScore] = field(repr=False, default=())

    def sensitivity_at(self, false_positives_per_scan: ArrayLike) -> NDArray[np.float64]:
        """Sensitivity by linear interpolation."""
        asked = np.asarray(false_positives_per_scan, dtype=np.float64)
        return np.asarray(np.interp(asked, self.false_positives_per_scan, self.sensitivity))

    def score_at(self, false_positives_per_scan: float) -> float | None:
        """The smallest score of a mark with which no more false positives per scan stand above; None where none is."""
        false = np.sort(np.concatenate([score.false_positives for score in self.per_scan]))[::-1]
        marks = np.concatenate([false, *(score.hits for score in self.per_scan)])
        allowed = int(false_positives_per_scan * self.scans + 1e-9)
        above = marks if allowed >= len(false) else marks[marks > false[allowed]]
        return float(above.min()) if len(above) else None

    @property
    def thresholds(self) -> NDArray[np.float64]:
        """Score of each corner (k,): it is reached by counting all marks of at least this score; first infinity."""
        scores = [np.concatenate([one.hits, one.false_positives]) for one in self.per_scan]
        return np.append(np.inf, np.unique(np.concatenate(scores))[::-1])

    @property
    def cpm(self) -> float:
        """Competition performance metric: mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan."""
        return float(self.sensitivity_at(CPM_POINTS).mean())


def froc(scans: Mapping[str, ScanMarks], *, most_marks: int = MOST_MARKS) -> Froc:
    """Match the marks of every scan that was searched, at most `most_marks` each, and compute the curve.

    `LunglineError` if there is no scan or no nodule: there is no sensitivity then.
    """
    scores = [match(marks, most_marks) for marks in scans.values()]
    nodules = sum(score.nodules for score in scores)
    if nodules == 0:
        raise LunglineError(f"no annotated nodule in {len(scores)} scans: there is no sensitivity to measure.")
    return Froc(
        *_Marks(scores).of(np.ones(len(scores))),
        scans=len(scores),
        nodules=nodules,
        true_positives=sum(len(score.hits) for score in scores),
        false_positives=sum(len(score.false_positives) for score in scores),
        **{name: sum(getattr(score, name) for score in scores) for name in _COUNTED},
        per_scan=scores,
    )


def match(marks: ScanMarks, most_marks: int = MOST_MARKS) -> ScanScore:
    """Match the marks of one scan with its nodules.

    A mark hits when its squared distance to the centre is strictly below the squared radius. Of several marks in
    one nodule the highest counts and the others are ignored; one mark inside two nodules counts for both. A mark
    on an excluded finding that hits no nodule is ignored.
    """
    points, scores, allowed = _kept(marks, most_marks)
    unused = np.ones(len(scores), dtype=bool)
    hits, double, excluded = [], 0, 0
    for nodule in marks.nodules:
        inside = _inside(points, nodule)
        unused &= ~inside
        if inside.any():
            hits.append(scores[inside].max())
            double += int(inside.sum()) - 1
    for finding in marks.excluded:
        ignored = _inside(points, finding) & unused
        excluded += int(ignored.sum())
        unused &= ~ignored
    lost = allowed - len(scores)
    return ScanScore(np.array(hits), scores[unused], len(marks.nodules), len(scores), excluded, double, lost)


def strongest_in_nodules(marks: ScanMarks, most_marks: int = MOST_MARKS) -> list[float | None]:
    """Of each nodule of a scan, in their order, the highest score of the marks that hit it; None where none does."""
    points, scores, _ = _kept(marks, most_marks)
    inside = [_inside(points, nodule) for nodule in marks.nodules]
    return [float(scores[one].max()) if one.any() else None for one in inside]


def _kept(marks: ScanMarks, most_marks: int) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """Points (n, 3) and scores (n,) of the marks that count, and how many might have."""
    points = np.asarray(marks.points_xyz_mm, dtype=np.float64).reshape(-1, 3)
    scores = np.asarray(marks.scores, dtype=np.float64).reshape(-1)
    if len(points) != len(scores) or not np.all(np.isfinite(points)) or not np.all(np.isfinite(scores)):
        raise LunglineError(f"marks need finite positions and scores. Got {len(points)} and {len(scores)}.")
    allowed = min(len(scores), most_marks)
    if len(scores) > most_marks:
        kept = scores > np.sort(scores)[::-1][most_marks]
        points, scores = points[kept], scores[kept]
    return points, scores, allowed


def _inside(points_xyz_mm: NDArray[np.float64], finding: Finding) -> NDArray[np.bool_]:
    diameter = finding.diameter_mm if finding.diameter_mm >= 0 else DIAMETER_OF_UNSIZED_MM
    squared = ((points_xyz_mm - np.asarray(finding.centre_xyz_mm)) ** 2).sum(axis=1)
    return np.asarray(squared < (diameter / 2) ** 2)


class _Marks:
    """The marks of all scans, sorted once, so that the curve of a bootstrap draw costs two cumulative sums."""

    def __init__(self, scores: Sequence[ScanScore], *, round_as_script: bool = False) -> None:
        self.round_as_script = round_as_script
        self.false = np.array([len(score.false_positives) for score in scores], dtype=np.float64)
        self.nodules = np.array([score.nodules for score in scores], dtype=np.float64)
        values = np.concatenate([np.concatenate([score.hits, score.false_positives]) for score in scores])
        scan = np.repeat(np.arange(len(scores)), [len(s.hits) + len(s.false_positives) for s in scores])
        hit = np.concatenate([np.arange(len(s.hits) + len(s.false_positives)) < len(s.hits) for s in scores])
        order = np.argsort(-values, kind="stable")
        self.scan, self.hit = scan[order], hit[order]
        ordered = values[order]
        self.corner = np.append(ordered[1:] != ordered[:-1], True)[: len(ordered)]  # the last of equal scores

    def of(self, weights: NDArray[np.float64], marks: int | None = None) -> tuple[NDArray, NDArray]:
        """Corners of the curve of the strongest `marks` (all if None) when scan i counts `weights[i]` times."""
        scan, hit, corner = self.scan[:marks], self.hit[:marks], self.corner[:marks]
        weight = weights[scan]
        found = np.cumsum(np.where(hit, weight, 0.0))
        false = (np.cumsum(weight) - found)[corner]
        if self.round_as_script and (every := weights @ self.false):
            false = false / every * every  # a rate of all false marks first: a corner may fall on its other side
        return np.append(0.0, false / weights.sum()), np.append(0.0, found[corner] / (weights @ self.nodules))

    def at(self, points: NDArray[np.float64], draws: Iterable[NDArray[np.int64]]) -> NDArray[np.float64]:
        """Sensitivity (draws that hold a nodule, points) of scans drawn with replacement, indices (n,) each.

        The curve beyond the largest point is not needed, so it is left out where a draw allows it.
        """
        scans, furthest = len(self.nodules), float(points.max())
        enough = int(np.searchsorted(np.cumsum(~self.hit), 1.5 * furthest * scans)) + 1
        drawn: list[NDArray[np.float64]] = []
        for draw in draws:
            weights = np.bincount(draw, minlength=scans).astype(np.float64)
            if weights @ self.nodules == 0:
                continue
            curve = self.of(weights, enough)
            if curve[0][-1] < furthest:
                curve = self.of(weights)
            drawn.append(np.interp(points, *curve))
        return np.array(drawn).reshape(-1, len(points))


def mean_cpm(
    runs: Sequence[Sequence[ScanScore]], minus: Sequence[Sequence[ScanScore]] = (), *, rounds: int = 1000, seed: int = 0
) -> Estimate:
    """Mean CPM of some trainings, minus that of others if there are any, with its bootstrap interval over scans.

    Each training is given by the same matched scans in the same order, so that the draws are paired.
    """
    scans = len(runs[0])

    def mean(of: Sequence[Sequence[ScanScore]], draws: NDArray[np.int64]) -> NDArray[np.float64]:
        points = np.array(CPM_POINTS)
        return np.asarray(np.mean([_Marks(scores).at(points, draws).mean(axis=1) for scores in of], axis=0))

    def statistic(draws: NDArray[np.int64]) -> NDArray[np.float64]:
        return mean(runs, draws) - mean(minus, draws) if minus else mean(runs, draws)

    value = float(statistic(np.arange(scans)[None])[0])
    if scans < 2:
        return Estimate(value, reason="an interval needs at least two scans")
    return percentile_interval(value, statistic(resamples(scans, rounds=rounds, seed=seed)))


class FrocIntervals(NamedTuple):
    """95 % intervals by bootstrap: of the CPM, and of the sensitivity at chosen points."""

    cpm: Estimate
    at: Sequence[Estimate]


def froc_intervals(
    result: Froc,
    points: Sequence[float] = CPM_POINTS,
    *,
    minus: Froc | None = None,
    patients: Sequence[str] | None = None,
    rounds: int = 1000,
    seed: int = 0,
) -> FrocIntervals:
    """Bootstrap over the scans of a curve, or over `patients` (of each scan); a resample without a nodule is left out.

    With `minus`, the curve of another system on the same scans in the same order, of the difference: both are drawn
    together.
    """
    asked = np.concatenate([CPM_POINTS, points])

    def statistic(draws: Iterable[NDArray[np.int64]]) -> NDArray[np.float64]:
        of, drawn = [result, *([] if minus is None else [minus])], list(draws)
        ours, *theirs = (_Marks(one.per_scan).at(asked, drawn) for one in of)
        both = ours - theirs[0] if theirs else ours
        return np.column_stack([both[:, : len(CPM_POINTS)].mean(axis=1), both[:, len(CPM_POINTS) :]])

    values = [result.cpm, *result.sensitivity_at(points).tolist()]
    if minus is not None:
        values = np.subtract(values, [minus.cpm, *minus.sensitivity_at(points).tolist()]).tolist()
    whose, cases = ("scans", result.scans) if patients is None else ("patients", len(set(patients)))
    if cases < 2:
        alone = [Estimate(value, reason=f"an interval needs at least two {whose}") for value in values]
        return FrocIntervals(alone[0], alone[1:])
    draws: Iterable[NDArray[np.int64]] = resamples(cases, rounds=rounds, seed=seed)
    if patients is not None:
        names = np.unique(np.asarray(patients), return_inverse=True)[1]
        scans_of = [np.flatnonzero(names == name) for name in range(cases)]
        draws = [np.concatenate([scans_of[one] for one in draw]) for draw in draws]
    estimates = [percentile_interval(v, column) for v, column in zip(values, statistic(draws).T, strict=True)]
    return FrocIntervals(estimates[0], estimates[1:])


def script_intervals(
    result: Froc, points: Sequence[float] = CPM_POINTS, *, rounds: int = 1000, seed: int = 0
) -> dict[str, list[float]]:
    """Mean, low and high of the sensitivity at `points` as LUNA-16's script has them after `numpy.random.seed(seed)`.

    Its draws are those of one `numpy.random.randint` a round, and its bounds are drawn values themselves (of 1,000
    sorted ones those with index 25 and 975), where `froc_intervals` goes between two of them. Empty lists where no draw
    holds a nodule.
    """
    scans = result.scans
    random = np.random.RandomState(seed)
    draws = (random.randint(scans, size=scans) for _ in range(rounds))
    marks = _Marks(result.per_scan, round_as_script=True)
    drawn = np.sort(marks.at(np.asarray(points, dtype=np.float64), draws), axis=0)
    if not len(drawn):
        return {"mean": [], "low": [], "high": []}
    outside = (1.0 - 0.95) / 2.0
    low, high = (drawn[math.floor(share * len(drawn))] for share in (outside, 1.0 - outside))
    return {"mean": drawn.mean(axis=0).tolist(), "low": low.tolist(), "high": high.tolist()}


def counts_at(result: Froc, false_positives_per_scan: float) -> dict[str, Any]:
    """The score that a mark needs so that no more false positives per scan stand, and what then counts."""
    score = result.score_at(false_positives_per_scan)

    def above(scores: NDArray[np.float64]) -> int:
        return 0 if score is None else int((scores >= score).sum())

    return {
        "score": score,
        "true_positives": sum(above(one.hits) for one in result.per_scan),
        "false_positives": sum(above(one.false_positives) for one in result.per_scan),
    }
