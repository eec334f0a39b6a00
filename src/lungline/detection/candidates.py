"""Nodule candidates: the strongest clusters of probability, the voxels and the patch of each (paper, section 4.2)."""

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
from lungline.imaging.intensity import WINDOW_HU, scale_hu
from lungline.imaging.volume import Volume, overlap
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.tables import read_rows, table_text

RankedBy = Literal["sum", "mean", "max"]

#: The thresholds at which a cluster is split, as fractions of the way from the threshold to 1.
_SPLIT_AT = (0.25, 0.5, 0.75)
_SMALLEST_CLUSTER = 8  # voxels; a smaller component at a raised threshold is no cluster of its own
_INTEGERS = ("rank", "n_voxels", "label")


@dataclass(frozen=True)
class Candidate:
    """One cluster of nodule probability."""

    rank: int  # 1 for the largest score
    score: float  # what the rank is by: sum, mean or maximum, or the output of the false-positive reduction (FPR)
    sum_probability: float  # this and the next two: over the cluster's voxels
    mean_probability: float
    max_probability: float
    n_voxels: int
    z: float  # probability-weighted mean voxel index on the grid of the preprocessed volume (`cache_volume`)
    y: float
    x: float
    x_mm: float  # the same point in the patient's coordinate system, LPS
    y_mm: float
    z_mm: float
    diameter_mm: float  # of the sphere with the cluster's volume
    label: int  # in the label map of the scan, 1 and up; stays when candidates are ranked again

    @property
    def centroid_zyx(self) -> tuple[float, float, float]:
        return self.z, self.y, self.x

    @property
    def centroid_xyz_mm(self) -> tuple[float, float, float]:
        return self.x_mm, self.y_mm, self.z_mm


_NAMES = [field.name for field in fields(Candidate)]


def extract_candidates(
    probability: Volume, *, threshold: float, count: int = 20, rank_by: RankedBy = "sum", split: bool = False
) -> tuple[list[Candidate], Volume]:
    """The `count` clusters with the largest score, strongest first, labelled 1, 2, ..., and their label map.

    A voxel belongs to a cluster when the probability (0..1, the mean of the three U-Nets) is at least the threshold;
    clusters are 26-connected (paper, section 4.2), and split at raised thresholds if `split` says so (see
    `cluster`). They are ranked by what `rank_by` says of the probability over their voxels; the paper's is the
    sum, which favours large vessels. Equal scores are ordered by position, so the order never depends on the
    clusters' numbers. Fewer than `count` are returned when there are fewer: none is invented.

    The label map holds the label of the candidate that a voxel belongs to, 0 elsewhere, in the smallest unsigned
    integers that hold all labels. It alone says which voxels a candidate has.
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
    """The voxels of all clusters: flat indices (n,), ascending, and the cluster that each is in, (n,), from 1.

    `probability` is (Z, Y, X), 0..1. With `split`, the threshold is raised in a few steps, and a cluster that
    then holds several components is replaced by them: nodules that a vessel joins are found one by one.
    """
    marked = probability >= np.float32(threshold)
    inside = np.flatnonzero(marked)
    component = _components(marked, inside)
    if not split:
        return inside, component
    values = probability.ravel()[inside]
    for fraction in _SPLIT_AT:
        np.put(marked, inside, values >= np.float32(threshold + fraction * (1 - threshold)))
        inner = _components(marked, inside)
        inner[np.bincount(inner)[inner] < _SMALLEST_CLUSTER] = 0
        outer = np.zeros(inner.max(initial=0) + 1, dtype=np.int64)  # the component that each inner one lies in
        outer[inner] = np.where(inner > 0, component, 0)
        largest = component.max(initial=0)
        is_split = np.bincount(outer, minlength=largest + 1) > 1
        is_split[0] = False
        component = np.where(is_split[component], np.where(inner > 0, inner + largest, 0), component)
    kept = component > 0
    return inside[kept], 1 + np.unique(component[kept], return_inverse=True)[1]


def _components(marked: NDArray[np.bool_], inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """The 26-connected component, from 1, that each voxel of the flat indices `inside` is in; 0 is none."""
    return cc3d.connected_components(marked, connectivity=26).ravel()[inside].astype(np.int64)


def rank_again(candidates: Sequence[Candidate], scores: Sequence[float], count: int) -> list[Candidate]:
    """The `count` candidates with the largest new score, strongest first; equal scores keep their order."""
    order = sorted(range(len(candidates)), key=lambda i: (-scores[i], candidates[i].rank))[:count]
    return [replace(candidates[i], rank=rank, score=float(scores[i])) for rank, i in enumerate(order, start=1)]


def write_candidates(path: Path, scan: str, candidates: Sequence[Candidate]) -> None:
    """One row per candidate; the header alone when there is none."""
    rows = [[scan, *(v if isinstance(v, int) else f"{v:.9g}" for v in astuple(candidate))] for candidate in candidates]
    write_checksummed_text(path, table_text(("scan", *_NAMES), rows))


def read_candidates(path: Path) -> list[Candidate]:
    """Candidates of one scan, strongest first; `LunglineError` for a file that is not one of ours."""
    found = []
    for line, cells in read_rows(path, ("scan", *_NAMES)):
        try:
            values = {n: int(cells[n]) if n in _INTEGERS else float(cells[n]) for n in _NAMES}
        except ValueError as error:
            raise LunglineError(f"{path}, line {line}: expected numbers in {', '.join(_NAMES)}. {error}.") from None
        found.append(Candidate(**values))  # type: ignore[arg-type]
    return found


@dataclass(frozen=True)
class Patches:
    """Patches (cubes) of one scan, around candidates of falling score; slots beyond the last candidate are absent."""

    cubes: NDArray[np.float16]  # (count, 2, size, size, size): HU windowed to 0..1, nodule probability; absent: 0
    valid: NDArray[np.bool_]  # (count,): which slots hold a candidate; pooling over a patient's cubes skips the others
    centroid_xyz_mm: NDArray[np.float64]  # (count, 3): world position, LPS; absent: NaN
    score: NDArray[np.float64]  # (count,): what candidates are ranked by; absent: NaN


def crop_patches(
    ct_hu: NDArray, probability: NDArray, candidates: Sequence[Candidate], *, count: int = 20, size: int = 32
) -> Patches:
    """Patches of HU and probability (both (Z, Y, X), one grid) around the first `count` candidates."""
    cubes = np.zeros((count, 2, size, size, size), dtype=np.float16)
    valid = np.zeros(count, dtype=bool)
    centroids, scores = np.full((count, 3), np.nan), np.full(count, np.nan)
    for slot, candidate in enumerate(candidates[:count]):
        cubes[slot, 0] = scale_hu(crop_cube(ct_hu, candidate.centroid_zyx, size, outside=WINDOW_HU[0]))
        cubes[slot, 1] = crop_cube(probability, candidate.centroid_zyx, size, outside=0.0)
        valid[slot] = True
        centroids[slot], scores[slot] = candidate.centroid_xyz_mm, candidate.score
    return Patches(cubes, valid, centroids, scores)


def crop_cube(array_zyx: NDArray, centre_zyx: tuple[float, float, float], size: int, outside: float) -> NDArray:
    """The cube (size, size, size) around the voxel nearest to `centre_zyx`, never shifted.

    That voxel lands at index size // 2. What lies outside the array is filled with `outside`.
    """
    cube = np.full((size,) * 3, outside, dtype=array_zyx.dtype)
    source, target = overlap(array_zyx.shape, cube.shape, [round(c) - size // 2 for c in centre_zyx])
    cube[target] = array_zyx[source]
    return cube
