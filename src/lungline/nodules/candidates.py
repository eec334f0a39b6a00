"""Nodule candidates: the strongest connected clusters of probability (paper, section 4.2)."""

from __future__ import annotations

import csv
import math
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import cc3d
import numpy as np
from numpy.typing import NDArray

from lungline import geometry
from lungline.errors import LunglineError
from lungline.io.seals import Origin, sealed_path
from lungline.io.tables import read_rows
from lungline.volume import Volume


@dataclass(frozen=True)
class Candidate:
    """One cluster of nodule probability.

    Attributes
    ----------
    rank : int
        1 for the largest sum of probability.
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


def extract_candidates(probability: Volume, *, threshold: float = 0.8, count: int = 20) -> list[Candidate]:
    """The `count` clusters with the largest summed probability, strongest first.

    Parameters
    ----------
    probability : Volume
        (Z, Y, X) mean of the three U-Nets, 0..1.
    threshold : float
        A voxel belongs to a cluster when its probability is at least this; clusters are 26-connected.
    count : int
        How many to keep; fewer are returned when there are fewer. None is invented.

    Notes
    -----
    Source: paper section 4.2. Equal sums are ordered by position, so the answer never depends on the labels.
    """
    labels = cc3d.connected_components(probability.array >= np.float32(threshold), connectivity=26)
    inside = np.flatnonzero(labels)
    if inside.size == 0:
        return []
    label = labels.ravel()[inside].astype(np.int64) - 1
    weight = probability.array.ravel()[inside].astype(np.float64)
    n = np.bincount(label)
    total = np.bincount(label, weight)
    index_zyx = np.unravel_index(inside, labels.shape)
    centroid = np.stack([np.bincount(label, weight * index) for index in index_zyx], axis=-1) / total[:, None]
    strongest = np.zeros(len(n))
    np.maximum.at(strongest, label, weight)
    order = np.lexsort((centroid[:, 2], centroid[:, 1], centroid[:, 0], -total))[:count]
    world = geometry.voxel_to_world(probability.affine, centroid)
    voxel_mm3 = abs(np.linalg.det(probability.affine[:3, :3]))
    diameter_mm = 2 * (3 * n * voxel_mm3 / (4 * math.pi)) ** (1 / 3)
    return [
        Candidate(
            rank=rank,
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
