"""How little of the search is enough: fewer axes, fewer slices, fewer candidates, judged on the validation scans.

    python -m experiments.pretrained.fast_search [--results results/pretrained] [--split valid]

Each scan is searched once along three axes, slice by slice; what a cheaper search would have found is made of that: the
slices that it computes are taken, those between are interpolated as `lungline.detection.axis_ensemble` does, the axes
that it has are averaged. Its candidates are ranked by the packaged network. What is kept in --out is not made again.
With `--split test` test scans are looked at once by each of the two searches that were chosen, `QUICK` and `CAREFUL`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.speed.measure import dice
from experiments.figures import RESULTS
from experiments.pretrained.choosing import SPLIT
from experiments.pretrained.implanted import LARGE_MM, ROUNDS, first_of, recall, scans_of
from experiments.take import text_of_study
from lungline.detection.candidates import crop_patches, extract_candidates
from lungline.detection.slices import AXES, Axis, fill_between, stack_along, unstack_along
from lungline.device import make_repeatable
from lungline.evaluation.free_response import ScanScore, match, mean_cpm
from lungline.evaluation.intervals import Estimate, bootstrap, resamples
from lungline.evaluation.marks import submitted_marks
from lungline.imaging.volume import Volume
from lungline.nodules.annotations import read_annotations
from lungline.stages import detect
from lungline.storage import hdf5
from lungline.storage.submissions import Mark
from lungline.training.false_positive_reduction import candidate_logits
from lungline.training.model_folder import load_cancer_net
from lungline.workflow.bundle import PACKAGED, read_bundle
from tests.repository import REPOSITORY

Row = dict[str, Any]  # of a result file, see `experiments.figures`
CPU = torch.device("cpu")
_FULL_COUNT = 400  # candidates that the first weights of the package ranked, over two symmetries


@dataclass(frozen=True)
class Search:
    """A way to search: the axes, one slice in so many along each, candidates ranked and symmetries of their cubes."""

    axes: tuple[Axis, ...] = AXES
    slice_step: int = 1
    slice_box: bool = False
    first_cut: int = _FULL_COUNT
    symmetries: int = 2

    @property
    def name(self) -> str:
        return f"{''.join(self.axes)}-{self.slice_step}{'-box' if self.slice_box else ''}"

    @property
    def title(self) -> str:
        slices = f"1 slice in {self.slice_step}{', its box' if self.slice_box else ''}"
        return f"{', '.join(self.axes)}; {slices}; {self.first_cut} x {self.symmetries}"


FULL = Search()
CUTS = tuple(Search(first_cut=n, symmetries=s) for n in (400, 200, 100, 60) for s in (2, 1))
COLUMNS = {
    "slices": "slices searched",
    "recall": "recall among 20",
    "recall_difference": "minus full",
    "cpm": "CPM",
    "cpm_difference": "CPM minus full",
    "outlines": "Dice of nodules, minus full",
    "same": "Dice with full",
    "reached": "nodules among those ranked",
}
SEARCHES = tuple(
    Search(axes, step, first_cut=200, symmetries=1)
    for axes, step in (
        (AXES, 2), (AXES, 3), (AXES, 4), (AXES, 5), (("z", "y"), 2), (("z",), 1), (("z",), 2),
    )
)  # fmt: skip
BOXED = tuple(Search(slice_step=step, slice_box=True, first_cut=60) for step in (1, 2, 3))
QUICK = BOXED[-1]  # chosen on the validation scans, before four test scans were looked at
CAREFUL = Search(slice_box=True, first_cut=100)  # chosen after that, before ten test scans were looked at
EVERY = (FULL, *CUTS, *SEARCHES, *BOXED)


@dataclass(frozen=True)
class Ranked:
    """The candidates of a search in one scan, strongest first, and what the networks say of each.

    Attributes
    ----------
    points_xyz_mm : (n, 3) float64
    logits : (n, 2) float32
        Of the false-positive reduction, a column a symmetry of the cube; NaN where none was computed.
    same : float
        Dice with the full search, of the voxels from the threshold on.
    outlines : (m,) float64
        Dice of each nodule's mask with the readers' in its neighbourhood.
    """

    points_xyz_mm: NDArray[np.float64]
    logits: NDArray[np.float32]
    same: float
    outlines: NDArray[np.float64]


def probability(full: Mapping[str, NDArray[np.float32]], search: Search) -> NDArray[np.float32]:
    """What a search would give, (Z, Y, X): the mean over its axes, of `full` (every slice of each axis)."""
    thinned = []
    for axis in search.axes:
        stack = stack_along(full[axis], axis).copy()
        fill_between(stack, search.slice_step)
        thinned.append(unstack_along(stack, axis))
    return np.mean(thinned, axis=0, dtype=np.float32)


def rank(results: Path, out: Path, scan: str, searches: Sequence[Search]) -> None:
    """Write OUT/{search}/{scan}.npz of each search that has none."""
    bundle = read_bundle(PACKAGED)
    assert bundle.detector is not None
    settings = dict(bundle.settings["extract_candidates"])
    network = load_cancer_net(bundle.detector / "fpr", CPU)
    missing = [search for search in searches if not (out / search.name / f"{scan}.npz").is_file()]
    if not missing:
        return
    ct = hdf5.read_volume(results / "cache_volume" / f"{scan}.h5", "ct")
    axes = {box: _every_slice(results, out, scan, slice_box=box) for box in {False, *(s.slice_box for s in missing)}}
    whole = probability(axes[False], FULL)
    (mask,) = (results / "implanted" / "luna16").glob(f"subset*/{scan}.h5")
    nodules = hdf5.read_volume(mask, "nodules").part(ct.shape_zyx, ct.affine).array
    for search in missing:
        found = Volume(probability(axes[search.slice_box], search), ct.affine)
        candidates, _ = extract_candidates(found, **{**settings, "count": _FULL_COUNT})
        logits = np.full((len(candidates), 2), np.nan, dtype=np.float32)
        first = candidates[: search.first_cut]
        cubes = crop_patches(ct.array, found.array, first, count=len(first), size=network.spec.shape_zyx[0]).cubes
        logits[: len(first), 0] = candidate_logits(network, cubes, CPU, 1)
        if search.symmetries == 2:
            logits[: len(first), 1] = 2 * candidate_logits(network, cubes, CPU, 2).numpy() - logits[: len(first), 0]
        marked = found.array >= settings["threshold"]
        same = dice(marked, whole >= settings["threshold"])
        points = np.array([candidate.centroid_xyz_mm for candidate in candidates]).reshape(-1, 3)
        (out / search.name).mkdir(parents=True, exist_ok=True)
        own = list(_outlines(found.array >= 0.5, nodules))
        np.savez(out / search.name / f"{scan}.npz", points_xyz_mm=points, logits=logits, same=same, outlines=own)
        print(
            f"{scan} {search.name}: {len(candidates)} candidates, Dice {same:.4f}, outlines {np.mean(own):.3f}",
            flush=True,
        )


def _every_slice(results: Path, out: Path, scan: str, *, slice_box: bool) -> dict[str, NDArray[np.float32]]:
    """The probability (Z, Y, X) of each axis from every slice; the networks' work is kept in OUT."""
    folder, detector = out / ("boxed" if slice_box else "full"), read_bundle(PACKAGED).detector
    assert detector is not None
    if not (folder / f"{scan}.h5").is_file():
        given: dict[str, Any] = {"detector": detector, "precision": "auto", "device": "auto", "slice_box": slice_box}
        detect.run(results / "cache_volume", folder, scans=[scan], keep_axes=True, **given)
    return {a: hdf5.read_array(folder / f"{scan}.h5", f"probability_{a}").astype(np.float32) for a in AXES}


def _outlines(marked: NDArray[np.bool_], nodules: NDArray) -> Iterator[float]:
    around = 6
    for number in range(1, int(nodules.max(initial=0)) + 1):
        voxels = np.argwhere(nodules == number)
        if len(voxels):
            low, high = np.maximum(voxels.min(axis=0) - around, 0), voxels.max(axis=0) + around + 1
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            theirs = nodules[box] == number
            yield dice(marked[box] & ((nodules[box] == 0) | theirs), theirs)


def read_ranked(out: Path, search: Search, scan: str) -> Ranked:
    with np.load(out / search.name / f"{scan}.npz") as found:
        return Ranked(found["points_xyz_mm"], found["logits"], float(found["same"]), found["outlines"])


def marks_of(ranked: Ranked, search: Search) -> list[Mark]:
    """The candidates that a search ranks, each (x, y, z, logit)."""
    logits = ranked.logits[: search.first_cut, : search.symmetries].mean(axis=1, dtype=np.float64)
    return [(*point, logit) for point, logit in zip(ranked.points_xyz_mm.tolist(), logits.tolist(), strict=False)]


@dataclass(frozen=True)
class Judged:
    """What a search finds: one entry a scan."""

    scores: Sequence[ScanScore]
    reached: Sequence[int]  # nodules with any ranked candidate on them
    same: Sequence[float]
    outlines: Sequence[NDArray[np.float64]]


def judge(results: Path, out: Path, search: Search, split: str) -> Judged:
    every = {scan: read_ranked(out, search, scan) for scan in scans_of(results, split)}
    marks = {scan: marks_of(ranked, search) for scan, ranked in every.items()}
    nodules = [n for n in read_annotations(results / "implanted/luna16/annotations.csv") if n.diameter_mm >= LARGE_MM]
    reached = [len(match(own).hits) for own in submitted_marks(marks, list(marks), nodules).values()]
    scores = [match(own) for own in first_of(results, marks, LARGE_MM).values()]
    return Judged(scores, reached, [r.same for r in every.values()], [r.outlines for r in every.values()])


def row(search: Search, these: Judged, full: Judged, seed: int) -> Row:
    """The figures of a search; differences with the full one are over scans, paired."""
    draws = resamples(len(these.scores), rounds=ROUNDS, seed=seed)
    nodules = np.array([score.nodules for score in these.scores])
    fewer = np.array([len(a.hits) - len(b.hits) for a, b in zip(these.scores, full.scores, strict=True)])

    def of_recall(scans: NDArray[np.int64]) -> float:
        return float(fewer[scans].sum() / nodules[scans].sum())

    def of_outlines(scans: NDArray[np.int64]) -> float:
        return float(np.mean([*_of(these.outlines, scans)]) - np.mean([*_of(full.outlines, scans)]))

    every = np.arange(len(nodules))
    return {
        "label": search.title,
        "slices": f"{100 * len(search.axes) / len(AXES) / search.slice_step:.0f} %",
        "reached": f"{sum(these.reached)} of {nodules.sum()}",
        "recall": f"{recall(these.scores)[0]} of {nodules.sum()}",
        "recall_difference": _cell(bootstrap(of_recall(every), draws, of_recall)),
        "cpm": _cell(mean_cpm([these.scores], rounds=ROUNDS, seed=seed)),
        "cpm_difference": _cell(mean_cpm([these.scores], [full.scores], rounds=ROUNDS, seed=seed), signed=True),
        "same": f"{np.mean(these.same):.3f}",
        "outlines": _cell(bootstrap(of_outlines(every), draws, of_outlines), signed=True),
    }


def _of(outlines: Sequence[NDArray[np.float64]], scans: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.concatenate([outlines[i] for i in scans])


def _cell(estimate: Estimate, *, signed: bool = False) -> dict[str, Any]:
    found = {key: round(value, 4) for key in ("value", "low", "high") if (value := getattr(estimate, key)) is not None}
    return {**found, **({"signed": True} if signed else {})}


def table(results: Path, out: Path, searches: Sequence[Search], split: str, seed: int) -> dict[str, Row]:
    """A row a search, by a name of it."""
    full = judge(results, out, FULL, split)
    return {
        f"{search.name}-{search.first_cut}-{search.symmetries}".replace("-", "_"): row(
            search, judge(results, out, search, split), full, seed
        )
        for search in searches
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m experiments.pretrained.fast_search", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--results", type=Path, default=REPOSITORY / "results" / "pretrained")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "results" / "pretrained" / "fast_search")
    parser.add_argument("--split", choices=(SPLIT, "test"), default=SPLIT)
    parser.add_argument("--again", action="store_true", help="of --split test: the second search, `CAREFUL`")
    parser.add_argument("--commit", help="write docs/results/fast_search.json, as measured at this commit")
    parser.add_argument("--seed", type=int, default=1, help="of the bootstrap")
    options = parser.parse_args()
    make_repeatable(options.seed)
    searches = EVERY if options.split == SPLIT else (FULL, CAREFUL if options.again else QUICK)
    for scan in scans_of(options.results, options.split):
        rank(options.results, options.out, scan, searches)
    rows = table(options.results, options.out, searches, options.split, options.seed)
    for one in rows.values():
        print(" | ".join(str(value) for value in one.values()))
    if options.commit:
        write(rows, "test_again" if options.again else options.split, options.commit)
    return 0


def write(rows: dict[str, Row], split: str, commit: str) -> None:
    """Put a table into the result file."""
    path = RESULTS / "fast_search.json"
    study = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"about": {}, "tables": {}}
    command = "python -m experiments.pretrained.fast_search"
    study["about"] = {"command": command, "taken_from": "results/pretrained", "commit": commit, **study["about"]}
    study["tables"][split] = {"head": "axes; slices; candidates x symmetries", "columns": COLUMNS, "rows": rows}
    path.write_text(text_of_study(study) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
