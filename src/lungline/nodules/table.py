"""The nodule table of a scan: place, size, attenuation and scores of every candidate, a row each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.geometry import Affine
from lungline.imaging.intensity import bounding_box
from lungline.imaging.volume import Volume
from lungline.names import Supervision
from lungline.storage.tables import table_text

if TYPE_CHECKING:
    from lungline.detection.candidates import Candidate
    from lungline.nodules.measurements import Attenuation, Measurements
    from lungline.nodules.sizes import Sizes

Laterality = Literal["left", "right"]
Zone = Literal["upper", "middle", "lower"]

_STEP = 2  # voxels: every second one is enough to tell which lung is nearer

#: Name and version of the layout; `lungline/schemas/nodules-2.json` describes it.
SCHEMA = "nodules/2"


@dataclass(frozen=True)
class NoduleRow:
    """One candidate; sizes and densities are those of `Measurements`, of the unmasked scan."""

    rank: int  # as in the table of candidates
    score: float  # what the rank is by
    finding: bool  # whether the score is worth showing
    x_mm: float  # centroid in the scanner's world, LPS
    y_mm: float
    z_mm: float
    z: float  # the same point as a voxel index on the grid of the cache
    y: float
    x: float
    slice: int  # number of the source slice that lies nearest, counted from below: 1 for the lowest
    instance_number: int | None  # of that slice, by which a PACS finds it; None where the source has none
    slice_position_mm: float  # of that slice, along the normal of the slices; of axial ones its z
    laterality: Laterality  # the patient's
    zone: Zone  # of that lung's height
    lobe: str | None = field(default=None, kw_only=True)  # where lobes were given: the nearest
    long_axis_mm: float
    volume_mm3: float
    short_axis_mm: float | None = field(default=None, kw_only=True)  # perpendicular, in the long axis' slice
    mean_diameter_mm: float | None = field(default=None, kw_only=True)  # of the two, to one decimal
    solid_long_axis_mm: float | None = field(default=None, kw_only=True)  # this and the next two: of the solid part
    solid_short_axis_mm: float | None = field(default=None, kw_only=True)  # of a part-solid nodule; else None
    solid_volume_mm3: float | None = field(default=None, kw_only=True)
    calcified_share: float | None = field(default=None, kw_only=True)
    mean_hu: float
    sd_hu: float  # standard deviation
    attenuation: Attenuation
    core_hu: float
    solid_share: float
    nodule_probability: float  # the detector's, mean over the cluster
    logit: float | None  # the classifier's, of this candidate's cube alone; None if it was not shown it
    cancer_probability: float | None  # its sigmoid, of a classifier that learned from patients
    malignancy_score: float | None = field(default=None, kw_only=True)  # its sigmoid, of one that learned from readers
    decided: bool | None  # whether its logit is the scan's where the maximum counts; None without an answer

    @property
    def classifier_score(self) -> float | None:
        """The classifier's number, whichever of the two it is."""
        return self.cancer_probability if self.malignancy_score is None else self.malignancy_score


COLUMNS = ("scan", *(one.name for one in fields(NoduleRow)))
_OF_CANDIDATE = ("rank", "score", "x_mm", "y_mm", "z_mm", "z", "y", "x")


@dataclass(frozen=True)
class Grid:
    """Shape and place of a volume that is not needed itself; `affine` as in `Volume`."""

    shape_zyx: tuple[int, ...]
    affine: Affine

    def as_json(self) -> dict[str, Any]:
        return {"shape_zyx": list(self.shape_zyx), "affine_zyx_to_lps_xyz_mm": self.affine.tolist()}


@dataclass(frozen=True)
class SourceGrid(Grid):
    """The grid of a scan as it was read; its first axis runs through the slices, lowest first."""

    #: InstanceNumber of each slice, or of the one nearest to it; None where the source has none.
    instance_numbers: tuple[int, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        numbers = None if self.instance_numbers is None else list(self.instance_numbers)
        return super().as_json() | {"instance_numbers": numbers}

    def slice_at(self, point_xyz_mm: tuple[float, float, float]) -> int:
        """Index of the slice that lies nearest to a point; of two as near the upper one, as the page counts."""
        index = geometry.world_to_voxel(self.affine, point_xyz_mm)[0]
        return min(max(math.floor(index + 0.5), 0), self.shape_zyx[0] - 1)

    def number_of(self, index: int) -> int | None:
        """InstanceNumber of a slice."""
        return None if self.instance_numbers is None else self.instance_numbers[index]

    def position_mm(self, index: int) -> float:
        """Where a slice lies along the normal of the slices, which points to the head."""
        along = self.affine[:3, 0]
        return float(along @ (self.affine[:3, 3] + index * along) / np.linalg.norm(along))


def describe_candidates(
    candidates: Sequence[Candidate],
    measurements: Sequence[Measurements],
    lungs: Volume,
    source: SourceGrid,
    logits: Sequence[float] = (),
    deciding_rank: int | None = None,
    min_finding_score: float | None = None,
    supervision: Supervision = "patients",
    sizes: Sequence[Sizes] = (),
    lobes: Volume | None = None,
) -> list[NoduleRow]:
    """A row for every candidate, in their order.

    `measurements` are those of each candidate, `lungs` bool on any grid, `source` the grid of the scan as it was read.
    The classifier's `logits` go by rank: fewer where it reads fewer candidates; its `supervision` names their sigmoid.
    Without an answer no rank decides. From `min_finding_score` on a candidate is a finding; all are where it is None.
    `sizes`, where given, are those of each candidate; `lobes` are numbered as `given_masks.LOBES`.
    """
    from scipy.special import expit  # here and below: whoever only reads a table (a page for every scan) need not wait

    if len(measurements) != len(candidates):
        raise LunglineError(
            f"expected measurements of {len(candidates)} candidates. Found {len(measurements)}: they are of another "
            "table. Crop the patches of this one again."
        )
    places = places_in_lungs(lungs, [c.centroid_xyz_mm for c in candidates]) if candidates else []
    points = [c.centroid_xyz_mm for c in candidates]
    lobe_of = lobes_at(lobes, points) if lobes is not None and points else [None] * len(points)
    rows: list[NoduleRow] = []
    triples = zip(candidates, measurements, places, strict=True)
    for number, (candidate, measured, (laterality, zone)) in enumerate(triples):
        logit = logits[candidate.rank - 1] if candidate.rank <= len(logits) else None
        nearest = source.slice_at(candidate.centroid_xyz_mm)
        score = None if logit is None else float(expit(logit))
        rows.append(
            NoduleRow(
                **{name: getattr(candidate, name) for name in _OF_CANDIDATE},
                finding=min_finding_score is None or candidate.score >= min_finding_score,
                slice=1 + nearest,
                instance_number=source.number_of(nearest),
                slice_position_mm=source.position_mm(nearest),
                laterality=laterality,
                zone=zone,
                lobe=lobe_of[number],
                long_axis_mm=measured.long_axis_mm,
                volume_mm3=measured.volume_mm3,
                **(_size_columns(sizes[number], measured) if sizes else {}),
                mean_hu=measured.mean_hu,
                sd_hu=measured.sd_hu,
                attenuation=measured.attenuation,
                core_hu=measured.core_hu,
                solid_share=measured.solid_share,
                nodule_probability=candidate.mean_probability,
                logit=logit,
                cancer_probability=score if supervision == "patients" else None,
                malignancy_score=score if supervision == "nodules" else None,
                decided=None if deciding_rank is None else candidate.rank == deciding_rank,
            )
        )
    return rows


def _size_columns(sizes: Sizes, measured: Measurements) -> dict[str, Any]:
    """The columns of a nodule's short axis, mean diameter, calcification and, if it is part-solid, solid part."""
    solid = sizes.solid if measured.attenuation == "part-solid" else None
    return {
        "short_axis_mm": sizes.axes.short_mm,
        "mean_diameter_mm": sizes.axes.mean_mm,
        "calcified_share": measured.calcified_share,
        **(
            {
                "solid_long_axis_mm": solid.axes.long_mm,
                "solid_short_axis_mm": solid.axes.short_mm,
                "solid_volume_mm3": solid.volume_mm3,
            }
            if solid
            else {}
        ),
    }


def places_in_lungs(lungs: Volume, points_xyz_mm: ArrayLike) -> list[tuple[Laterality, Zone]]:
    """Laterality and zone (third of that lung's height) of each point (n, 3), by the nearest voxel of a lung.

    `lungs` is a mask of both lungs, not empty, with axes in LPS order.
    """
    from lungline.imaging.lungs import middle_column, side_of_all

    box = bounding_box(lungs.array)
    inside = lungs.array[box]
    middle = middle_column(inside)
    halves: dict[Laterality, slice] = {"right": slice(None, middle), "left": slice(middle, None)}
    if middle == inside.shape[2]:  # one lung, or two that nothing parts: all has the laterality of where it lies
        halves = {side_of_all(inside, box[2].start, lungs.shape_zyx[2]): slice(None)}
    voxels = _STEP * np.argwhere(inside[::_STEP, ::_STEP, ::_STEP])
    heights = {
        laterality: np.flatnonzero(inside[:, :, half].any(axis=(1, 2)))[[0, -1]] for laterality, half in halves.items()
    }
    found: list[tuple[Laterality, Zone]] = []
    for index_zyx in geometry.world_to_voxel(lungs.affine, points_xyz_mm).reshape(-1, 3):
        here = index_zyx - [part.start for part in box]
        nearest = voxels[np.argmin((((voxels - here) * lungs.spacing_zyx_mm) ** 2).sum(axis=1))]
        laterality: Laterality = next(iter(halves)) if len(halves) == 1 else "right" if nearest[2] < middle else "left"
        low, high = heights[laterality]
        share = (here[0] - low + 0.5) / (high - low + 1)
        found.append((laterality, "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"))
    return found


def lobes_at(lobes: Volume, points_xyz_mm: ArrayLike) -> list[str]:
    """The lobe of each point (n, 3), or the nearest one; `lobes` are numbered as `given_masks.LOBES`, not empty."""
    from lungline.imaging.given_masks import LOBES

    voxels = np.argwhere(lobes.array[::_STEP, ::_STEP, ::_STEP]) * _STEP
    found = []
    for index_zyx in geometry.world_to_voxel(lobes.affine, points_xyz_mm).reshape(-1, 3):
        here = tuple(int(n) for n in np.clip(np.rint(index_zyx), 0, np.array(lobes.shape_zyx) - 1))
        if not lobes.array[here]:
            off_mm = (voxels - index_zyx) * lobes.spacing_zyx_mm
            here = tuple(voxels[np.argmin((off_mm**2).sum(axis=1))])
        found.append(LOBES[int(lobes.array[here]) - 1])
    return found


def rows_as_json(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """Rows of this table or of another as JSON, numbers as they stand in the CSV: to nine digits."""

    def rounded(value: Any) -> Any:
        return float(f"{value:.9g}") if isinstance(value, float) else value

    return [{name: rounded(value) for name, value in asdict(row).items()} for row in rows]


def rows_as_csv(scan: str, rows: Sequence[NoduleRow]) -> str:
    """The rows as CSV text; the header alone when there is none."""
    return table_text(COLUMNS, format_rows(scan, rows))


def format_rows(scan: str, rows: Sequence[NoduleRow]) -> list[list[Any]]:
    """The rows as they are written, in the order of `COLUMNS`."""
    return [[scan, *map(format_value, astuple(row))] for row in rows]


def format_value(value: Any) -> Any:
    """A value as it is written in CSV: numbers to nine digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.9g}" if isinstance(value, float) else value


def split_nodules(rows: Sequence[NoduleRow]) -> dict[str, list[dict[str, Any]]]:
    """The rows as JSON, findings apart from what was looked at as well."""
    return {
        "nodules": rows_as_json([row for row in rows if row.finding]),
        "also_looked_at": rows_as_json([row for row in rows if not row.finding]),
    }


def read_nodules(table: Mapping[str, Any]) -> list[NoduleRow]:
    """All rows of the JSON that `describe-nodules` wrote, by rank; none where the scan was not searched."""
    if table.get("schema") != SCHEMA:
        raise LunglineError(f"expected a table of layout {SCHEMA}. Found {table.get('schema')!r}. Make it anew.")
    return [NoduleRow(**row) for row in [*(table["nodules"] or []), *(table["also_looked_at"] or [])]]
