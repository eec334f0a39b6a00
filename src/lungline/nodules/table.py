"""The nodule table: what a reader wants to know of every candidate of a scan, in one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import TYPE_CHECKING, Any

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.imaging.geometry import Affine
from lungline.imaging.volume import Volume
from lungline.storage.tables import table_text

if TYPE_CHECKING:
    from lungline.detection.candidates import Candidate
    from lungline.nodules.location import Side, Third
    from lungline.nodules.measurements import Attenuation, Measurements

#: Name and version of the layout; `lungline/schemas/nodules-1.json` describes it.
SCHEMA = "nodules/1"


@dataclass(frozen=True)
class NoduleRow:
    """One candidate.

    Attributes
    ----------
    rank : int
        As in the table of candidates.
    x_mm, y_mm, z_mm : float
        Centroid in the scanner's world, LPS.
    z, y, x : float
        The same point as a voxel index on the grid of the cache.
    slice : int
        Number of the source slice that lies nearest, 1 for the lowest.
    side, third : str
        The patient's side, and the third of that lung's height.
    longest_axial_mm, volume_mm3, mean_hu, spread_hu : float
        Long-axis diameter, volume, mean and standard deviation of the unmasked scan; see `Measurements`.
    kind : "solid", "part-solid" or "ground-glass"
        See `Measurements.attenuation`.
    nodule_probability : float
        The detector's, mean over the cluster.
    cancer_logit, cancer_probability : float or None
        The system's answer to this candidate's cube alone; None if it was not shown this candidate.
    decided : bool or None
        Whether it is the strongest of the scan, whose logit is the patient's where the maximum counts; None without an
        answer.
    """

    rank: int
    x_mm: float
    y_mm: float
    z_mm: float
    z: float
    y: float
    x: float
    slice: int
    side: Side
    third: Third
    longest_axial_mm: float
    volume_mm3: float
    mean_hu: float
    spread_hu: float
    kind: Attenuation
    nodule_probability: float
    cancer_logit: float | None
    cancer_probability: float | None
    decided: bool | None


COLUMNS = ("scan", *(field.name for field in fields(NoduleRow)))


@dataclass(frozen=True)
class Grid:
    """Shape and place of a volume that is not needed itself; `affine` as in `Volume`."""

    shape_zyx: tuple[int, ...]
    affine: Affine

    def as_json(self) -> dict[str, Any]:
        return {"shape_zyx": list(self.shape_zyx), "affine_zyx_to_lps_xyz_mm": self.affine.tolist()}


def describe_candidates(
    candidates: Sequence[Candidate],
    measurements: Sequence[Measurements],
    lungs: Volume,
    source: Grid,
    logits: Sequence[float] = (),
    deciding_rank: int | None = None,
) -> list[NoduleRow]:
    """A row for every candidate, in their order.

    Parameters
    ----------
    candidates : sequence of Candidate
    measurements : sequence of Measurements
        Those of each candidate.
    lungs : Volume
        bool, any grid.
    source : Grid
        Of the scan as it was read.
    logits : sequence of float
        The system's, by rank; shorter where it reads fewer candidates.
    deciding_rank : int or None
        None where there is no answer.
    """
    # here, since whoever only reads a table (a page for every scan) need not wait for it
    from scipy.special import expit

    from lungline.nodules.location import places_in_lungs

    if len(measurements) != len(candidates):
        raise LunglineError(
            f"expected measurements of {len(candidates)} candidates. Found {len(measurements)}: they are of another "
            "table. Crop the patches of this one again."
        )
    places = places_in_lungs(lungs, [c.centroid_xyz_mm for c in candidates]) if candidates else []
    rows = []
    for candidate, measured, (side, third) in zip(candidates, measurements, places, strict=True):
        logit = logits[candidate.rank - 1] if candidate.rank <= len(logits) else None
        rows.append(
            NoduleRow(
                **{name: getattr(candidate, name) for name in ("rank", "x_mm", "y_mm", "z_mm", "z", "y", "x")},
                slice=_slice_number(source, candidate),
                side=side,
                third=third,
                longest_axial_mm=measured.long_axis_mm,
                volume_mm3=measured.volume_mm3,
                mean_hu=measured.mean_hu,
                spread_hu=measured.sd_hu,
                kind=measured.attenuation,
                nodule_probability=candidate.mean_probability,
                cancer_logit=logit,
                cancer_probability=None if logit is None else float(expit(logit)),
                decided=None if deciding_rank is None else candidate.rank == deciding_rank,
            )
        )
    return rows


def _slice_number(source: Grid, candidate: Candidate) -> int:
    index = geometry.world_to_voxel(source.affine, candidate.centroid_xyz_mm)[0]
    return 1 + min(max(round(index), 0), source.shape_zyx[0] - 1)


def rows_as_json(rows: Sequence[NoduleRow]) -> list[dict[str, Any]]:
    """The rows as JSON, numbers as they stand in the CSV."""
    return [{name: rounded(value) for name, value in asdict(row).items()} for row in rows]


def rounded(value: Any) -> Any:
    """A value as JSON holds it: numbers to nine digits."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def rows_as_csv(scan: str, rows: Sequence[NoduleRow]) -> str:
    """The rows as CSV text; the header alone when there is none."""
    return table_text(COLUMNS, rows_as_words(scan, rows))


def rows_as_words(scan: str, rows: Sequence[NoduleRow]) -> list[list[Any]]:
    """The rows as they are written, in the order of `COLUMNS`."""
    return [[scan, *map(word, astuple(row))] for row in rows]


def word(value: Any) -> Any:
    """A value as CSV holds it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.9g}" if isinstance(value, float) else value


def read_nodules(table: Mapping[str, Any]) -> list[NoduleRow]:
    """The rows of the JSON that `describe-nodules` wrote; none where the scan was not searched."""
    if table.get("schema") != SCHEMA:
        raise LunglineError(f"expected a table of layout {SCHEMA}. Found {table.get('schema')!r}. Make it anew.")
    return [NoduleRow(**row) for row in table["nodules"] or []]
