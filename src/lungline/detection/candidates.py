"""Nodule candidates: the strongest connected clusters of probability (paper, section 4.2)."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.storage.checksums import Origin, sealed_path
from lungline.storage.tables import read_rows

RankedBy = Literal["sum", "mean", "max"]

#: Where a cluster is looked at again when clusters are split, as parts of the way from the threshold to 1.
_SPLIT_AT = (0.25, 0.5, 0.75)
_SMALLEST_PART = 8  # voxels; a smaller peak is no cluster of its own
_SAME_PLACE = 1e-3  # voxels; tables keep nine digits


@dataclass(frozen=True)
class Candidate:
    """One cluster of nodule probability.

    Attributes
    ----------
    rank : int
        1 for the largest score.
    score : float
        What the candidates are ranked by: the sum of probability (paper), its mean or maximum, or the answer of a
        reduction network.
    sum_probability, mean_probability, max_probability : float
        Over the cluster's voxels.
    n_voxels : int
    z, y, x : float
        Probability-weighted mean voxel index on the grid of the cache.
    x_mm, y_mm, z_mm : float
        The same point in the scanner's world, LPS.
    diameter_mm : float
        Of the ball with the cluster's volume.
    """

    rank: int
    score: float
    sum_probability: float
    mean_probability: float
    max_probability: float
    n_voxels: int
    z: float
    y: float
    x: float
    x_mm: float
    y_mm: float
    z_mm: float
    diameter_mm: float

    @property
    def centroid_zyx(self) -> tuple[float, float, float]:
        return self.z, self.y, self.x

    @property
    def centroid_xyz_mm(self) -> tuple[float, float, float]:
        return self.x_mm, self.y_mm, self.z_mm


def extract_candidates(
    probability: Volume,
    *,
    threshold: float = 0.8,
    count: int = 20,
    rank_by: RankedBy = "sum",
    split: bool = False,
) -> list[Candidate]:
    """The `count` clusters with the largest score, strongest first.

    Parameters
    ----------
    probability : Volume
        (Z, Y, X) mean of the three U-Nets, 0..1.
    threshold : float
        A voxel belongs to a cluster when its probability is at least this; clusters are 26-connected.
    count : int
        How many to keep; fewer are returned when there are fewer. None is invented.
    rank_by : "sum", "mean" or "max"
        Of the probability over a cluster's voxels; the paper's is the sum, which favours large vessels.
    split : bool
        Take a cluster apart where it has several peaks; see `cluster`.

    Notes
    -----
    Source: paper section 4.2. Equal scores are ordered by position, so the answer never depends on the labels.
    """
    inside, label = cluster(probability.array, threshold, split=split)
    return _measured(probability, inside, label, count, rank_by)[0]


def outline_candidates(
    probability: Volume, candidates: Sequence[Candidate], *, threshold: float = 0.8, split: bool = False
) -> NDArray[np.int64]:
    """Where each candidate lies: its rank in the voxels of the cluster that it came from, 0 elsewhere; (Z, Y, X).

    Parameters
    ----------
    probability : Volume
        The one that the candidates were extracted from.
    candidates : sequence of Candidate
        Of `extract_candidates`, or some of them ranked again.
    threshold, split
        As they were for `extract_candidates`.

    Raises
    ------
    LunglineError
        If a candidate is none of the clusters: another volume, or other settings.
    """
    inside, label = cluster(probability.array, threshold, split=split)
    clusters, numbers = _measured(probability, inside, label, None, "sum")
    rank_of = np.zeros(len(clusters) + 1, dtype=np.int64)
    places = np.array([found.centroid_zyx for found in clusters]).reshape(-1, 3)
    for candidate in candidates:
        away = np.linalg.norm(places - candidate.centroid_zyx, axis=1)
        nearest = int(np.argmin(away)) if away.size else 0
        if not away.size or away[nearest] > _SAME_PLACE or clusters[nearest].n_voxels != candidate.n_voxels:
            raise LunglineError(
                f"candidate {candidate.rank} is no cluster of this probability at threshold {threshold:g}. "
                "Outline candidates with the settings and the volume that they were extracted with."
            )
        rank_of[numbers[nearest]] = candidate.rank
    outline = np.zeros(probability.shape_zyx, dtype=np.int64)
    outline.ravel()[inside] = rank_of[label]
    return outline


def _measured(
    probability: Volume, inside: NDArray[np.int64], label: NDArray[np.int64], count: int | None, rank_by: RankedBy
) -> tuple[list[Candidate], list[int]]:
    """The `count` strongest clusters (None: all), and the number in `label` of each."""
    if inside.size == 0:
        return [], []
    label = label - 1
    weight = probability.array.ravel()[inside].astype(np.float64)
    n = np.bincount(label)
    total = np.bincount(label, weight)
    index_zyx = np.unravel_index(inside, probability.shape_zyx)
    centroid = np.stack([np.bincount(label, weight * index) for index in index_zyx], axis=-1) / total[:, None]
    strongest = np.zeros(len(n))
    np.maximum.at(strongest, label, weight)
    score = {"sum": total, "mean": total / n, "max": strongest}[rank_by]
    order = np.lexsort((centroid[:, 2], centroid[:, 1], centroid[:, 0], -score))[:count]
    world = geometry.voxel_to_world(probability.affine, centroid)
    voxel_mm3 = abs(np.linalg.det(probability.affine[:3, :3]))
    diameter_mm = 2 * (3 * n * voxel_mm3 / (4 * math.pi)) ** (1 / 3)
    found = [
        Candidate(
            rank=rank,
            score=float(score[i]),
            sum_probability=float(total[i]),
            mean_probability=float(total[i] / n[i]),
            max_probability=float(strongest[i]),
            n_voxels=int(n[i]),
            z=float(centroid[i, 0]),
            y=float(centroid[i, 1]),
            x=float(centroid[i, 2]),
            x_mm=float(world[i, 0]),
            y_mm=float(world[i, 1]),
            z_mm=float(world[i, 2]),
            diameter_mm=float(diameter_mm[i]),
        )
        for rank, i in enumerate(order, start=1)
    ]
    return found, [int(i) + 1 for i in order]


def cluster(
    probability: NDArray, threshold: float, *, split: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The voxels of all clusters: flat indices (n,), ascending, and the number of the cluster of each (n,), 1 and up.

    `probability` is (Z, Y, X), 0..1. With `split`, the threshold rises in a few steps, and a cluster that falls into
    parts on the way is replaced by them: nodules that a vessel joins are found one by one.
    """
    marked = probability >= np.float32(threshold)
    inside = np.flatnonzero(marked)
    label = _components(marked, inside)
    if not split:
        return inside, label
    values = probability.ravel()[inside]
    for part in _SPLIT_AT:
        np.put(marked, inside, values >= np.float32(threshold + part * (1 - threshold)))
        peak = _components(marked, inside)
        peak[np.bincount(peak)[peak] < _SMALLEST_PART] = 0
        home = np.zeros(peak.max(initial=0) + 1, dtype=np.int64)
        home[peak] = np.where(peak > 0, label, 0)  # the cluster that each peak lies in
        falls_apart = np.bincount(home, minlength=label.max(initial=0) + 1) > 1
        falls_apart[0] = False
        label = np.where(falls_apart[label], np.where(peak > 0, peak + label.max(initial=0), 0), label)
    kept = label > 0
    return inside[kept], 1 + np.unique(label[kept], return_inverse=True)[1]


def _components(marked: NDArray[np.bool_], inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the 26-connected piece of each voxel of the flat indices `inside`; 0 is none."""
    return cc3d.connected_components(marked, connectivity=26).ravel()[inside].astype(np.int64)


def rank_again(candidates: Sequence[Candidate], scores: Sequence[float], count: int) -> list[Candidate]:
    """The `count` candidates with the largest new score, strongest first; equal scores keep their order."""
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], candidates[i].rank))[:count]
    return [replace(candidates[i], rank=rank, score=float(scores[i])) for rank, i in enumerate(order, start=1)]


def write_candidates(path: Path, scan: str, candidates: list[Candidate], origin: Origin | None = None) -> None:
    """One row a candidate; the header alone when there is none."""
    with sealed_path(path, origin) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle, lineterminator="\n")
        rows.writerow(["scan", *(field.name for field in fields(Candidate))])
        rows.writerows([scan, *(_text(value) for value in astuple(candidate))] for candidate in candidates)


def _text(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.9g}"


def read_candidates(path: Path) -> list[Candidate]:
    """Candidates of one scan, strongest first; `LunglineError` for a file that is not one of ours."""
    names = [field.name for field in fields(Candidate)]
    found = []
    for line, words in read_rows(path, ("scan", *names)):
        try:
            values = {n: int(words[n]) if n in ("rank", "n_voxels") else float(words[n]) for n in names}
        except ValueError as error:
            raise LunglineError(f"{path}, line {line}: expected numbers in {', '.join(names)}. {error}.") from None
        found.append(Candidate(**values))  # type: ignore[arg-type]
    return found


def crop_cube(array_zyx: NDArray, centre_zyx: tuple[float, float, float], size: int, outside: float) -> NDArray:
    """The cube (size, size, size) around the voxel nearest to `centre_zyx`, never shifted.

    That voxel lands at index size // 2. What lies outside the array is filled with `outside`.
    """
    first = [round(c) - size // 2 for c in centre_zyx]
    cube = np.full((size,) * 3, outside, dtype=array_zyx.dtype)
    source = tuple(slice(max(f, 0), max(min(f + size, n), 0)) for f, n in zip(first, array_zyx.shape, strict=True))
    target = tuple(slice(s.start - f, max(s.stop - f, s.start - f)) for s, f in zip(source, first, strict=True))
    cube[target] = array_zyx[source]
    return cube
