"""Pair the nodules of two scans of a patient; growth, new and gone nodules."""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from lungline.nodules.measurements import Attenuation
from lungline.nodules.table import Laterality, NoduleRow, Zone, format_value
from lungline.storage.tables import table_text

#: Name and version of the layout; `lungline/schemas/follow-up-2.json` describes it.
SCHEMA = "follow-up/2"

State = Literal["paired", "new", "gone", "not-imaged"]


@dataclass(frozen=True)
class FollowUpRow:
    """One nodule in two scans; what belongs to a scan in which it was not found is None, else as in the nodule tables.

    Found in both scans it is "paired", in the later or the earlier only "new" or "gone"; "not-imaged" if the other scan
    does not show its place.
    """

    state: State
    laterality: Laterality  # this and the next: in the later scan where it was found there
    zone: Zone
    rank_before: int | None
    rank_after: int | None
    score_before: float | None  # what the rank is by
    score_after: float | None
    finding_before: bool | None
    finding_after: bool | None
    x_mm_before: float | None  # centroids in each scanner's own world, LPS
    y_mm_before: float | None
    z_mm_before: float | None
    x_mm_after: float | None
    y_mm_after: float | None
    z_mm_after: float | None
    instance_number_before: int | None  # of the nearest slice
    instance_number_after: int | None
    distance_mm: float | None  # between the two after registration
    long_axis_mm_before: float | None
    long_axis_mm_after: float | None
    volume_mm3_before: float | None
    volume_mm3_after: float | None
    volume_change_percent: float | None  # of the earlier volume
    doubling_days: float | None  # at this rate; None if it has not grown, or the days are unknown
    attenuation_before: Attenuation | None
    attenuation_after: Attenuation | None
    nodule_probability_before: float | None
    nodule_probability_after: float | None
    cancer_probability_before: float | None
    cancer_probability_after: float | None
    malignancy_score_before: float | None
    malignancy_score_after: float | None


COLUMNS = tuple(field.name for field in fields(FollowUpRow))
_OF_A_SCAN = [name.removesuffix("_before") for name in COLUMNS if name.endswith("_before")]


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


def doubling_days(volume_before: float, volume_after: float, days: int | None) -> float | None:
    """Days in which a volume that grows exponentially doubles; None if it does not grow, or the days are unknown."""
    if not days or volume_after <= volume_before:
        return None
    return days * math.log(2) / math.log(volume_after / volume_before)


def follow_nodules(
    before: Sequence[NoduleRow],
    after: Sequence[NoduleRow],
    pairs: Sequence[tuple[int, int]],
    distances_mm: Sequence[float],
    imaged_before: Sequence[bool],
    imaged_after: Sequence[bool],
    days: int | None,
) -> list[FollowUpRow]:
    """A row for every finding: those in both scans first, by growth, then new ones, then those gone.

    What was looked at as well counts where it is the other end of a finding: a nodule that fades below the score of a
    finding is not gone.

    `pairs` are positions in `before` and `after` that are one nodule, `distances_mm` how far apart they lie after
    registration. `imaged_before` says of each of `after` whether the earlier scan shows its place; `imaged_after`
    likewise. `days` lie between the scans.
    """
    rows = [
        _row("paired", before[i], after[j], d, days)
        for (i, j), d in zip(pairs, distances_mm, strict=True)
        if before[i].finding or after[j].finding
    ]
    rows.sort(key=lambda row: -(row.volume_change_percent or 0.0))
    old, young = {i for i, _ in pairs}, {j for _, j in pairs}
    for j, nodule in enumerate(after):
        if j not in young and nodule.finding:
            rows.append(_row("new" if imaged_before[j] else "not-imaged", None, nodule))
    for i, nodule in enumerate(before):
        if i not in old and nodule.finding:
            rows.append(_row("gone" if imaged_after[i] else "not-imaged", nodule, None))
    return rows


def _row(
    state: State,
    before: NoduleRow | None,
    after: NoduleRow | None,
    distance_mm: float | None = None,
    days: int | None = None,
) -> FollowUpRow:
    shown = after or before
    assert shown is not None
    values: dict[str, Any] = {"distance_mm": distance_mm, "volume_change_percent": None, "doubling_days": None}
    if before is not None and after is not None:
        values["volume_change_percent"] = 100 * (after.volume_mm3 / before.volume_mm3 - 1)
        values["doubling_days"] = doubling_days(before.volume_mm3, after.volume_mm3, days)
    for name in _OF_A_SCAN:
        values[f"{name}_before"] = None if before is None else getattr(before, name)
        values[f"{name}_after"] = None if after is None else getattr(after, name)
    return FollowUpRow(state, shown.laterality, shown.zone, **values)


def rows_as_csv(rows: Sequence[FollowUpRow]) -> str:
    """The rows as CSV text; the header alone when there is none."""
    return table_text(COLUMNS, [[format_value(value) for value in astuple(row)] for row in rows])
