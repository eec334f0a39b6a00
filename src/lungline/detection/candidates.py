"""Nodule candidates: the strongest connected clusters of probability, and the voxels of each (paper, section 4.2)."""

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
from lungline.storage.checksums import sealed_path
from lungline.storage.tables import read_rows

RankedBy = Literal["sum", "mean", "max"]

#: Where a cluster is looked at again when clusters are split, as parts of the way from the threshold to 1.
_SPLIT_AT = (0.25, 0.5, 0.75)
_SMALLEST_PART = 8  # voxels; a smaller peak is no cluster of its own
_INTEGERS = ("rank", "n_voxels", "label")


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
    label : int
        Its value in the label map of the scan, 1 and up; stays when candidates are ranked again.
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
    label: int

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
) -> tuple[list[Candidate], Volume]:
    """The `count` clusters with the largest score, strongest first, and their label map.

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

    Returns
    -------
    candidates : list of Candidate
        Labelled 1, 2, ... in this order.
    labels : Volume
        (Z, Y, X), the smallest unsigned integers that hold all labels: the label of the candidate that a voxel
        belongs to, 0 elsewhere. It alone says which voxels a candidate has.

    Notes
    -----
    Source: paper section 4.2. Equal scores are ordered by position, so the answer never depends on the clusters'
    numbers.
    """
    inside, number = cluster(probability.array, threshold, split=split)
    weight = probability.array.ravel()[inside].astype(np.float64)
    n = np.bincount(number)[1:]
    total = np.bincount(number, weight)[1:]
    index_zyx = np.unravel_index(inside, probability.shape_zyx)
    centroid = np.stack([np.bincount(number, weight * index)[1:] for index in index_zyx], axis=-1) / total[:, None]
    strongest = np.zeros(len(n))
    np.maximum.at(strongest, number - 1, weight)
    score = {"sum": total, "mean": total / n, "max": strongest}[rank_by]
    order = np.lexsort((centroid[:, 2], centroid[:, 1], centroid[:, 0], -score))[:count]
    world = geometry.voxel_to_world(probability.affine, centroid)
    voxel_mm3 = abs(np.linalg.det(probability.affine[:3, :3]))
    diameter_mm = 2 * (3 * n * voxel_mm3 / (4 * math.pi)) ** (1 / 3)
    columns = (score, total, total / n, strongest, n, *centroid.T, *world.T, diameter_mm)  # in the order of Candidate
    found = [
        Candidate(*[rank, *(column[i].item() for column in columns), rank])
        for rank, i in enumerate(order.tolist(), start=1)
    ]
    label_of = np.zeros(len(n) + 1, dtype=np.min_scalar_type(len(found)))
    label_of[order + 1] = np.arange(1, len(found) + 1)
    labels = np.zeros(probability.shape_zyx, dtype=label_of.dtype)
    labels.ravel()[inside] = label_of[number]
    return found, probability.with_array(labels)


def rank_map(labels: Volume, candidates: Sequence[Candidate]) -> Volume:
    """The label map (Z, Y, X) with the rank of each of `candidates` in place of its label, 0 elsewhere."""
    rank_of = np.zeros(int(labels.array.max(initial=0)) + 1, dtype=np.min_scalar_type(len(candidates)))
    for candidate in candidates:
        if not 0 < candidate.label < len(rank_of):
            raise LunglineError(
                f"candidate {candidate.rank}: no voxel of the label map has its label {candidate.label}. Name the "
                "label map that `extract-candidates` wrote with this table."
            )
        rank_of[candidate.label] = candidate.rank
    return labels.with_array(rank_of[labels.array])


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


def write_candidates(path: Path, scan: str, candidates: Sequence[Candidate]) -> None:
    """One row a candidate; the header alone when there is none."""
    with sealed_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
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
            values = {n: int(words[n]) if n in _INTEGERS else float(words[n]) for n in names}
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
