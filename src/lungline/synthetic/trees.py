"""Trees that grow into a lung: vessels and airways that branch and taper to the periphery."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.synthetic.anatomy import Anatomy
from lungline.synthetic.phantom_nodules import Nodule

Point = NDArray[np.float64]  # x, y, z in mm


@dataclass(frozen=True)
class Tree:
    """Straight pieces of a branching tube, and the junctions where three or more pieces of some size meet."""

    pieces: list[tuple[Point, Point, float, float]]  # start and end, the radius (mm) at each
    junctions: list[tuple[Point, float]]  # centre and radius


def grow_tree(
    rng: np.random.Generator,
    anatomy: Anatomy,
    side: str,
    nodules: Sequence[Nodule],
    *,
    tips: int,
    tip_radius_mm: float,
    root_shift_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> Tree:
    """A tree from the hilum to `tips` points spread over one lung.

    Each tip joins the nearest point of what has grown so far, the nearest tips first; radii follow Murray's law
    (the cube of a stem is the sum of the cubes of its branches). Pieces keep clear of the nodules.
    """
    root = anatomy.hilum_xyz_mm(side) + np.asarray(root_shift_mm) * anatomy.scale
    points = anatomy.points_in_lung_box(rng, side, 6 * tips)
    points = points[anatomy.lung_depth(side, points) > 2.0][:tips]
    points = points[np.argsort(np.linalg.norm(points - root, axis=1))]
    bend = rng.standard_normal((len(points), 3))

    node = np.empty((3 * len(points) + 1, 3))
    way = np.zeros(len(node))  # length from the root along the tree
    parent = np.full(len(node), -1)
    node[0], count = root, 1
    for tip, shake in zip(points, bend, strict=True):
        distance = np.linalg.norm(node[:count] - tip, axis=1)
        near = int(np.argmin(distance + 0.25 * way[:count]))
        pieces = 3 if distance[near] > 12 * anatomy.scale else 1
        steps = np.linspace(0, 1, pieces + 1)[1:, None]
        path = node[near] + steps * (tip - node[near])
        path += np.sin(np.pi * steps) * shake * 0.08 * distance[near]
        line = _points_along(np.concatenate([node[near : near + 1], path]))
        if _hits_a_nodule(line, nodules) or _leaves_the_lung(line, anatomy, side, root):
            continue
        for point in path:
            node[count] = point
            parent[count] = near
            way[count] = way[near] + np.linalg.norm(point - node[near])
            near, count = count, count + 1
    return _with_radii(node[:count], parent[:count], tip_radius_mm)


def _points_along(path: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([path[:-1] + t * np.diff(path, axis=0) for t in (0.25, 0.5, 0.75, 1.0)])


def _hits_a_nodule(line: NDArray[np.float64], nodules: Sequence[Nodule]) -> bool:
    return any(bool(np.any(np.sum((line - n.centre_xyz_mm) ** 2, axis=1) < (n.radius_mm + 3.0) ** 2)) for n in nodules)


def _leaves_the_lung(line: NDArray[np.float64], anatomy: Anatomy, side: str, root: NDArray[np.float64]) -> bool:
    """Whether a branch would run through the heart, the spine or the chest wall, other than at the hilum."""
    outside = anatomy.lung_distance(side, *line.T) > -1.0
    return bool(np.any(outside & (np.linalg.norm(line - root, axis=1) > 14 * anatomy.scale)))


def _with_radii(node: NDArray[np.float64], parent: NDArray[np.int64], tip_radius_mm: float) -> Tree:
    cube = np.zeros(len(node))
    children = np.bincount(parent[1:], minlength=len(node))
    cube[children == 0] = tip_radius_mm**3
    for k in range(len(node) - 1, 0, -1):  # children always stand behind their parent
        cube[parent[k]] += cube[k]
    radius = np.cbrt(cube)
    child = np.arange(1, len(node))
    stem = parent[child]
    end = np.where(children[child] == 0, 0.6 * radius[child], radius[child])
    forks = np.flatnonzero((children >= 2) & (radius > 1.4 * tip_radius_mm) & (np.arange(len(node)) > 0))
    start = np.minimum(radius[stem], 1.35 * radius[child])
    pieces = zip(node[stem], node[child], start.tolist(), end.tolist(), strict=True)
    return Tree(list(pieces), list(zip(node[forks], radius[forks].tolist(), strict=True)))
