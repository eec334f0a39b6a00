"""Which nodules of the scans of a patient are one: pairs of one scan and the next, and chains of pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment

State = Literal["found", "new", "missed", "gone", "not-yet", "not-imaged"]


class Transform(Protocol):
    """From the world of a scan to that of the next one, and back; points are (..., 3)."""

    def apply(self, points_xyz_mm: ArrayLike) -> NDArray[np.float64]: ...
    def apply_inverse(self, points_xyz_mm: ArrayLike) -> NDArray[np.float64]: ...


@dataclass(frozen=True, eq=False)
class Chain:
    """One nodule in all scans.

    Attributes
    ----------
    index : tuple of int or None, one a scan
        Its place among the points of that scan; None where it was not found.
    places_xyz_mm : (scans, 3)
        Where it lies in each, or would lie.
    distances_mm : tuple of float or None
        Where it was found again: how far off the place where its last sighting would lie.
    """

    index: tuple[int | None, ...]
    places_xyz_mm: NDArray[np.float64]
    distances_mm: tuple[float | None, ...]

    @property
    def found(self) -> list[int]:
        """The scans in which it was found, counted from 0; one at least."""
        return [k for k, i in enumerate(self.index) if i is not None]


def pair_points(
    before_xyz_mm: NDArray[np.float64], after_xyz_mm: NDArray[np.float64], tolerance_mm: float
) -> list[tuple[int, int]]:
    """Pair the points of two sets: the assignment with the smallest sum of distances.

    Points (n, 3) and (m, 3) lie in one world. To stay alone costs a point as much as a partner at the tolerance; so
    nothing is paired beyond it.
    """
    if not len(before_xyz_mm) or not len(after_xyz_mm):
        return []
    distance = np.linalg.norm(before_xyz_mm[:, None] - after_xyz_mm, axis=2)
    rows, columns = linear_sum_assignment(np.minimum(distance, tolerance_mm))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(i, j) for i, j in pairs if distance[i, j] <= tolerance_mm]


def chain_points(
    points_xyz_mm: Sequence[NDArray[np.float64]], transforms: Sequence[Transform], tolerance_mm: float
) -> list[Chain]:
    """The nodules of all scans: each scan's points (n, 3) are paired with all that any earlier scan showed.

    `transforms` lead from each scan to the next. What was not found in a scan waits at the place where it would lie, so
    it keeps its identity when it is found again. Chains stand in the order in which they were first found.
    """
    scans = len(points_xyz_mm)
    index: list[list[int | None]] = [[i, *[None] * (scans - 1)] for i in range(len(points_xyz_mm[0]))]
    distances: list[list[float | None]] = [[None] * scans for _ in index]
    places = [points_xyz_mm[0].reshape(-1, 3)]
    for k in range(1, scans):
        points = points_xyz_mm[k].reshape(-1, 3)
        moved = transforms[k - 1].apply(places[-1])
        here = moved.copy()
        pairs = pair_points(moved, points, tolerance_mm)
        for i, j in pairs:
            index[i][k], distances[i][k], here[i] = j, float(np.linalg.norm(moved[i] - points[j])), points[j]
        paired = {j for _, j in pairs}
        new = [j for j in range(len(points)) if j not in paired]
        index += [[*[None] * k, j, *[None] * (scans - 1 - k)] for j in new]
        distances += [[None] * scans for _ in new]
        before = points[new]
        for earlier in range(k - 1, -1, -1):
            before = transforms[earlier].apply_inverse(before)
            places[earlier] = np.concatenate([places[earlier], before])
        places.append(np.concatenate([here, points[new]]))
    rows = zip(index, np.stack(places, axis=1), distances, strict=True)
    return [Chain(tuple(found), lies, tuple(apart)) for found, lies, apart in rows]


def states_of(chain: Chain, imaged: Sequence[bool]) -> list[State]:
    """What each scan says of a nodule; `imaged`: whether it shows the nodule's place.

    Where it was found: "found", but "new" the first time if an earlier scan shows the place. Elsewhere "not-imaged" if
    the scan does not show the place, else "not-yet" before it was first found, "gone" after it was last found, and
    "missed" between.
    """
    first, last = chain.found[0], chain.found[-1]
    states: list[State] = []
    for k, i in enumerate(chain.index):
        if i is not None:
            states.append("new" if k == first and any(imaged[:k]) else "found")
        elif not imaged[k]:
            states.append("not-imaged")
        else:
            states.append("not-yet" if k < first else "gone" if k > last else "missed")
    return states
