"""The nodule table of a scan: place, size, attenuation and scores of every candidate, a row each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.geometry import Affine
from lungline.imaging.volume import Volume
from lungline.names import Supervision
from lungline.nodules.attenuation_model import attenuation_probabilities
from lungline.nodules.location import Laterality, Zone, lobes_at, places_in_lungs
from lungline.nodules.size_errors import diameter_interval, volume_interval
from lungline.nodules.sizes import PERCENTILES
from lungline.storage.tables import table_text

if TYPE_CHECKING:
    from lungline.detection.candidates import Candidate
    from lungline.nodules.measurements import Attenuation, Measurements
    from lungline.nodules.sizes import Sizes

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
    volume_low_mm3: float | None = field(default=None, kw_only=True)  # this and the next: of its 95 % interval
    volume_high_mm3: float | None = field(default=None, kw_only=True)
    short_axis_mm: float | None = field(default=None, kw_only=True)  # perpendicular, in the long axis' slice
    mean_diameter_mm: float | None = field(default=None, kw_only=True)  # of the two, to one decimal
    mean_diameter_low_mm: float | None = field(default=None, kw_only=True)  # this and the next: of its 95 % interval
    mean_diameter_high_mm: float | None = field(default=None, kw_only=True)
    solid_long_axis_mm: float | None = field(default=None, kw_only=True)  # this and the next two: of the solid part
    solid_short_axis_mm: float | None = field(default=None, kw_only=True)  # of a part-solid nodule; else None
    solid_volume_mm3: float | None = field(default=None, kw_only=True)
    calcified_share: float | None = field(default=None, kw_only=True)
    pleura_distance_mm: float | None = field(default=None, kw_only=True)  # from its voxels to the edge of the lungs
    mean_hu: float
    sd_hu: float  # standard deviation
    p5_hu: float | None = field(default=None, kw_only=True)  # this and the next four: percentiles
    p25_hu: float | None = field(default=None, kw_only=True)
    p50_hu: float | None = field(default=None, kw_only=True)
    p75_hu: float | None = field(default=None, kw_only=True)
    p95_hu: float | None = field(default=None, kw_only=True)
    attenuation: Attenuation
    #: This and the next two: how probable it is that readers would call it so; `attenuation_model.py`.
    solid_probability: float | None = field(default=None, kw_only=True)
    part_solid_probability: float | None = field(default=None, kw_only=True)
    ground_glass_probability: float | None = field(default=None, kw_only=True)
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
    pleura_mm: Sequence[float] = (),
    lobes: Volume | None = None,
) -> list[NoduleRow]:
    """A row for every candidate, in their order.

    `measurements` are those of each candidate, `lungs` bool on any grid, `source` the grid of the scan as it was read.
    The classifier's `logits` go by rank: fewer where it reads fewer candidates; its `supervision` names their sigmoid.
    Without an answer no rank decides. From `min_finding_score` on a candidate is a finding; all are where it is None.
    `sizes` and `pleura_mm`, where given, are the sizes and the distance from the pleura of each candidate; `lobes` are
    numbered as `given_masks.LOBES`.
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
                volume_mm3=measured.volume_mm3,
                **(
                    _size_columns(sizes[number], measured, source) if sizes else {"long_axis_mm": measured.long_axis_mm}
                ),
                pleura_distance_mm=pleura_mm[number] if pleura_mm else None,
                mean_hu=measured.mean_hu,
                sd_hu=measured.sd_hu,
                attenuation=measured.attenuation,
                **_attenuation_columns(measured),
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


def _size_columns(sizes: Sizes, measured: Measurements, source: SourceGrid) -> dict[str, Any]:
    """The columns of a nodule's axes, their interval, calcification, HU and, if it is part-solid, solid part."""
    solid = sizes.solid if measured.attenuation == "part-solid" else None
    slice_mm = float(geometry.spacing_zyx_mm(source.affine)[0])
    low, high = diameter_interval(sizes.axes.mean_mm, slice_mm, measured.attenuation)
    least, most = volume_interval(sizes.volume_mm3, slice_mm, measured.attenuation)
    return {
        "long_axis_mm": sizes.axes.long_mm,
        "short_axis_mm": sizes.axes.short_mm,
        "mean_diameter_mm": sizes.axes.mean_mm,
        "mean_diameter_low_mm": low,
        "mean_diameter_high_mm": high,
        "volume_low_mm3": least,
        "volume_high_mm3": most,
        "calcified_share": measured.calcified_share,
        **{f"p{share}_hu": value for share, value in zip(PERCENTILES, sizes.percentiles_hu, strict=True)},
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


def _attenuation_columns(measured: Measurements) -> dict[str, Any]:
    chances = attenuation_probabilities(measured.core_percentiles_hu)
    return {f"{kind.replace('-', '_')}_probability": chance for kind, chance in chances.items()}


def drawn_axes(candidates: Sequence[Candidate], sizes: Sequence[Sizes]) -> list[dict[str, Any]]:
    """Where the axes of each candidate end, world mm, by rank: JSON."""
    return [
        {
            "rank": candidate.rank,
            "long_axis_xyz_mm": np.round(one.axes.long_ends_xyz_mm, 3).tolist(),
            "short_axis_xyz_mm": np.round(one.axes.short_ends_xyz_mm, 3).tolist(),
        }
        for candidate, one in zip(candidates, sizes, strict=True)
    ]


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
