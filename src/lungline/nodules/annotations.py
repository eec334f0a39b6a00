"""Annotated nodules in world coordinates, and the sphere masks rasterised from them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.storage.checksums import unrecorded
from lungline.storage.tables import Faults, Note, decimal, read_rows

COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm")
LARGEST_MM = 200.0  # no nodule, and hardly a lung, is wider


@dataclass(frozen=True)
class Nodule:
    """One annotation: centre as world (x, y, z) mm, LPS, and diameter in mm; the line where it stands."""

    scan: str
    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    line: int = field(default=0, compare=False)


def read_annotations(path: Path, *, measured: bool = True) -> list[Nodule]:
    """Nodules of a LUNA-16 `annotations.csv`, or findings of its `annotations_excluded.csv`.

    Of the latter most are not `measured`: their diameter is -1. Rows that are left out (a diameter that no nodule has,
    a copy) are named by `note_annotations`. `LunglineError` for a wrong header, and with every line that has no id, a
    number that is none, or the place of an earlier nodule with another diameter.
    """
    return _read(path, measured)[0]


def note_annotations(path: Path, scans: Collection[str]) -> list[Note]:
    """A note on every row of `annotations.csv` that is left out, or belongs to none of the scans."""
    nodules, notes = _read(path, measured=True)
    strangers = [
        Note(path.name, nodule.line, "T_UNKNOWN_SCAN", "this seriesuid is no scan of the manifest; not used")
        for nodule in nodules
        if nodule.scan not in scans
    ]
    return sorted([*notes, *strangers], key=lambda note: note.line or 0)


@unrecorded()
def _read(path: Path, measured: bool) -> tuple[list[Nodule], list[Note]]:
    places: dict[tuple[object, ...], Nodule] = {}
    notes: list[Note] = []
    faults = Faults(path)
    for line, cells in read_rows(path, COLUMNS, faults, numbers=COLUMNS[1:], foreign=True):
        try:
            x, y, z, diameter = (decimal(cells[name], name) for name in COLUMNS[1:])
        except LunglineError as error:
            faults.add(line, str(error))
            continue
        nodule = Nodule(cells["seriesuid"], (x, y, z), diameter, line)
        if not nodule.scan:
            faults.add(line, "expected a seriesuid. Found nothing.")
            continue
        if measured and not 0 < diameter <= LARGEST_MM:
            found = f"diameter_mm is {diameter:g}, expected above 0 and at most {LARGEST_MM:g}; left out"
            notes.append(Note(path.name, line, "T_ROW_REFUSED", found))
            continue
        place = (nodule.scan, nodule.centre_xyz_mm, None if measured else diameter)
        first = places.setdefault(place, nodule)
        if first.diameter_mm != diameter:
            faults.add(line, f"the place of line {first.line} with another diameter. Remove the wrong one.")
        elif first is not nodule:
            notes.append(Note(path.name, line, "T_ROW_TWICE", f"the same as line {first.line}; left out"))
    faults.refuse()
    return list(places.values()), notes


def rasterise_spheres(
    shape_zyx: Sequence[int], affine: geometry.Affine, nodules: Sequence[Nodule]
) -> NDArray[np.bool_]:
    """Mask (Z, Y, X) that is true within half a diameter of a nodule's centre (paper, section 4.2).

    The voxel that holds a centre is always true, so that no nodule vanishes between voxel centres.
    """
    mask = np.zeros(tuple(shape_zyx), dtype=bool)
    for nodule in nodules:
        centre_zyx = geometry.world_to_voxel(affine, nodule.centre_xyz_mm)
        reach = nodule.diameter_mm / 2 / geometry.spacing_zyx_mm(affine).min() * np.ones(3)
        low = np.maximum(np.floor(centre_zyx - reach), 0).astype(int)
        high = np.minimum(np.ceil(centre_zyx + reach) + 1, mask.shape).astype(int)
        if np.any(low >= high):
            continue  # outside the grid
        grid = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1)
        distance_mm = np.linalg.norm(geometry.voxel_to_world(affine, grid) - nodule.centre_xyz_mm, axis=-1)
        mask[tuple(map(slice, low, high))] |= distance_mm <= nodule.diameter_mm / 2
        nearest = np.rint(centre_zyx).astype(int)
        if np.all((nearest >= 0) & (nearest < mask.shape)):
            mask[tuple(nearest)] = True
    return mask


def nodules_outside(shape_zyx: Sequence[int], affine: geometry.Affine, nodules: Sequence[Nodule]) -> list[Nodule]:
    """The nodules whose centre lies outside the grid (half a voxel beyond the outermost centres)."""
    inside = lie_inside(shape_zyx, affine, [nodule.centre_xyz_mm for nodule in nodules])
    return [nodule for nodule, is_inside in zip(nodules, inside, strict=True) if not is_inside]


def lie_inside(shape_zyx: Sequence[int], affine: geometry.Affine, places_xyz_mm: ArrayLike) -> NDArray[np.bool_]:
    """Whether each place (n, 3), world mm, lies in the grid or within half a voxel of it: (n,)."""
    index_zyx = geometry.world_to_voxel(affine, np.reshape(places_xyz_mm, (-1, 3)))
    return np.all((index_zyx >= -0.5) & (index_zyx <= np.array(shape_zyx) - 0.5), axis=1)
