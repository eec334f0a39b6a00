"""Is an answer right? Its spacing, where things lie in it, and its HU, against a ground truth that is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging.volume import Volume
from tests.conformance.robustness.analytic_phantom import Array, Grid, hu_at

SPACING_SHARE = 1e-3
POSITION_MM = 0.5
_COVERED = 0.96  # part of the scanned space that an answer must show: one lost end slice in thirty
_POINTS = 30_000
_FLAT_HU_PER_MM = 4.0
_PADDING_HU = -1024
Expect = Literal["answer", "refuse", "either"]

VERDICTS = ("right", "refused clearly", "refused by traceback", "silently wrong", "crashed", "hung")


@dataclass(frozen=True)
class GroundTruth:
    """What an input really shows.

    Attributes
    ----------
    expect : "answer", "refuse" or "either"
        What the contract asks for. An answer must be right in any case; `refuse` means that none can be.
    grid : Grid or None
        The space that was scanned; None if nobody can know.
    even : bool
        Whether the distance of slices is one number, so that the spacing along them can be judged.
    field : callable
        HU (...) at world points (..., 3); nan where nothing is known.
    tolerance_hu : float
        By how much 19 of 20 voxels of flat regions may be off.
    """

    expect: Expect
    grid: Grid | None = None
    even: bool = True
    field: Callable[[Array], Array] = hu_at
    tolerance_hu: float = 2.0


@dataclass(frozen=True)
class Judged:
    verdict: str
    words: str = ""


def judge(outcome: str, words: str, answers: list[tuple[NDArray, Array]], ground_truth: GroundTruth) -> Judged:
    """The verdict on what a tool made of an input; of several answers (one a series) the best one counts."""
    if outcome == "refused":
        return Judged("refused clearly", words)
    if outcome == "raised":
        return Judged("refused by traceback", words)
    if outcome in ("crashed", "hung"):
        return Judged(outcome, words)
    if not answers:
        return Judged("silently wrong", "says that all is well and gives no volume")
    faults = [fault_of(array, affine, ground_truth) for array, affine in answers]
    return Judged("right") if "" in faults else Judged("silently wrong", faults[0])


def as_expected(verdict: str, expect: Expect) -> bool:
    """Whether the contract is kept: a usable input refused is not a danger, but it is named."""
    allowed = {"answer": ("right",), "refuse": ("refused clearly",), "either": ("right", "refused clearly")}
    return verdict in allowed[expect]


def fault_of(array: NDArray, affine: Array, ground_truth: GroundTruth) -> str:
    """What is wrong with an answer (array [z, y, x], affine of that index, in any orientation); "" if nothing is."""
    if ground_truth.grid is None or ground_truth.expect == "refuse":
        return f"an answer of shape {array.shape} where none can be known"
    if array.ndim != 3 or min(array.shape) < 2 or not np.all(np.isfinite(affine)):
        return f"an answer of shape {array.shape}"
    try:
        answer = Volume(array, affine).to_lps()
        known = Volume(np.empty(ground_truth.grid.shape_zyx, dtype=np.bool_), ground_truth.grid.affine).to_lps()
    except LunglineError as error:
        return str(error)
    return (
        _spacing_fault(answer, known, ground_truth.even)
        or _covering_fault(answer, ground_truth.grid)
        or _content_fault(answer, ground_truth)
    )


def _spacing_fault(answer: Volume, known: Volume, even: bool) -> str:
    got, expected = answer.spacing_zyx_mm, known.spacing_zyx_mm.copy()
    # of sheared slices the distance counts, not the way from corner to corner
    normal = np.cross(known.affine[:3, 2], known.affine[:3, 1])
    expected[0] = abs(normal @ known.affine[:3, 0]) / np.linalg.norm(normal)
    off = np.abs(got / expected - 1)
    if not even:
        off[0] = 0
    if off.max() > SPACING_SHARE:
        return f"spacing {np.round(got, 4).tolist()} mm (z, y, x), ground truth {np.round(expected, 4).tolist()}"
    return ""


def _covering_fault(answer: Volume, grid: Grid) -> str:
    """Whether (nearly) all of the scanned space lies in the answer."""
    steps = tuple(slice(None, None, max(1, n // 30)) for n in grid.shape_zyx)
    points = grid.points()[steps].reshape(-1, 3)
    index = (points - answer.affine[:3, 3]) @ np.linalg.inv(answer.affine[:3, :3]).T
    inside = np.all((index > -0.55) & (index < np.array(answer.shape_zyx) - 0.45), axis=1).mean()
    return "" if inside >= _COVERED else f"shows {inside:.0%} of the scanned space"


def _content_fault(answer: Volume, ground_truth: GroundTruth) -> str:
    """Whether the voxels show what lies at their place, and how far off it is if not."""
    assert ground_truth.grid is not None
    step = max(1, round((answer.array.size / _POINTS) ** (1 / 3)))
    sparse = answer.array[::step, ::step, ::step].astype(np.float64)
    index = np.stack(np.meshgrid(*(np.arange(0, n, step) for n in answer.shape_zyx), indexing="ij"), axis=-1)
    points = (index @ answer.affine[:3, :3].T + answer.affine[:3, 3]).reshape(-1, 3)
    back = (points - ground_truth.grid.affine[:3, 3]) @ np.linalg.inv(ground_truth.grid.affine[:3, :3]).T
    limits = np.array(ground_truth.grid.shape_zyx) - 1
    here = np.all((back >= -0.01) & (back <= limits + 0.01), axis=1)
    points, got = points[here], np.maximum(sparse.reshape(-1)[here], _PADDING_HU)
    expected = ground_truth.field(points)
    slopes = np.stack(
        [(ground_truth.field(points + s) - ground_truth.field(points - s)) / 0.4 for s in 0.2 * np.eye(3)], axis=1
    )
    known = np.isfinite(expected) & np.all(np.isfinite(slopes), axis=1)
    points, got, expected, slopes = points[known], got[known], expected[known], slopes[known]
    if len(got) < 100 or not np.all(np.isfinite(got)):
        return f"{len(got)} voxels lie in the scanned space, or some are not finite"
    off = np.abs(got - expected)
    flat = np.linalg.norm(slopes, axis=1) < _FLAT_HU_PER_MM
    level = float(np.quantile(off[flat], 0.95)) if flat.sum() > 50 else 0.0
    if level > ground_truth.tolerance_hu:
        return f"HU off by {level:.0f} in flat regions, allowed {ground_truth.tolerance_hu:.0f}"
    if np.median(off[~flat]) > 250:
        return f"HU off by {np.median(off[~flat]):.0f} at edges"
    return _shift_fault(points, got - expected, slopes)


def _shift_fault(points: Array, off: Array, slopes: Array) -> str:
    """How far the lower, middle and upper third are off their place, by least squares on the edges in them."""
    edges = np.quantile(points[:, 2], [0, 1 / 3, 2 / 3, 1])
    for low, high in pairwise(edges):
        part = (points[:, 2] >= low) & (points[:, 2] <= high)
        a, b = slopes[part], off[part]
        normal = a.T @ a
        if part.sum() < 100 or np.linalg.cond(normal) > 1e4:
            continue
        shift = np.linalg.solve(normal, a.T @ b)
        if np.linalg.norm(shift) > POSITION_MM:
            return f"things lie {np.linalg.norm(shift):.2f} mm off their place"
    return ""
