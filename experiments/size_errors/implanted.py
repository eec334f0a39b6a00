"""Nodules of known outline in real lungs, scanned with slices of known thickness and measured as `predict` measures.

Each is implanted at a place (visit 0), seen there again at a later date (1), turned by up to 5 degrees, shifted within
a voxel, with other noise and grown by a known factor, and implanted elsewhere in the same chest (2). Each visit is
scanned with slices of two thicknesses. What the detector found is kept, so that measuring anew needs no detector.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

import lungline
from lungline.detection.axis_ensemble import predict_nodules
from lungline.detection.candidates import extract_candidates
from lungline.detection.slices import AXES
from lungline.imaging import geometry
from lungline.imaging.intensity import scale_hu
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import measure_candidates, size_candidates
from lungline.nodules.sizes import axes_of, volume_of
from lungline.synthetic.blending import Blend, SourceNodule, blend_in, close_ends, weight_of
from lungline.synthetic.recipients import Chest, places
from lungline.synthetic.source_nodules import NoduleRow, read_nodule
from lungline.training.model_folder import load_unet
from lungline.workflow.bundle import PACKAGED, read_bundle

FINE_MM = 0.6  # of the grid on which a nodule is implanted
SLICES = (1, 2, 4, 8)  # of them that are averaged to one slice of the scan
VISITS = 3
GROWTHS = (0.9, 1.0, 1.0, 1.15, 1.3)  # of the diameter, at the later date
_WORDS = ("nodule", "patient", "chest", "attenuation")
_EDGE_MM = 44.0
_MARGIN, _ATTACHMENTS = 8.0, ("free", "free", "vessel", "pleura")
_NOISE_HU = 20.0  # at most
_AIR_HU = -1000.0
_LEAST_HIT_MM = 2.0  # or the nodule's radius: a candidate whose middle is farther away is another
_LUNG_MARGIN_MM = 5  # as `segment_lungs` is configured
_TURN = np.radians(5) / 1.7  # about each axis at most: 5 degrees in all


@dataclass(frozen=True)
class Measured:
    """One implanted nodule: what is true of it, and what was measured; None where the detector missed it."""

    nodule: str
    patient: str
    chest: str
    visit: int
    slice_mm: float
    true_mean_mm: float  # of the readers' outline
    true_volume_mm3: float
    mean_mm: float | None = None
    label_mean_mm: float | None = None  # of the label map alone, on the grid of 1 mm
    volume_mm3: float | None = None
    attenuation: str = ""
    core_p10_hu: float | None = None  # this and the next two: percentiles of the core
    core_p50_hu: float | None = None
    core_p90_hu: float | None = None


@dataclass(frozen=True)
class Sighting:
    """One implanted nodule in one scan: what is true of it, HU, and its voxels on the grid of 1 mm, none if missed."""

    truth: Measured
    scan: Volume
    label: NDArray[np.bool_]


def read_chest(path: Path) -> Chest:
    """A chest on the grid of 1 mm; known lesions do not matter, since nothing but the implanted nodule is measured."""
    scan = lungline.read_scan(path)
    lungs, ct = lungline.segment_lungs(scan), resample(scan)
    return Chest(ct.array, lungs.array, lungs.array, ct.affine, float(scan.spacing_zyx_mm[0]))


class Detector:
    """The packaged detector on a small volume."""

    def __init__(self) -> None:
        packaged = read_bundle(PACKAGED).settings
        self.settings = dict(packaged["extract_candidates"])
        self.search: dict[str, Any] = {key: value for key, value in packaged["detect"].items() if key != "precision"}
        self.networks = {axis: load_unet(PACKAGED.parent / "detector" / axis, torch.device("cpu")) for axis in AXES}

    def labels(self, ct: Volume) -> NDArray:
        """The label map of the candidates (Z, Y, X) in HU on the grid of 1 mm."""
        scaled = scale_hu(np.rint(ct.array))
        found = predict_nodules(scaled, self.networks, torch.device("cpu"), **self.search)
        probability = found["mean"].astype(np.float16)
        return extract_candidates(ct.with_array(probability), **self.settings)[1].array


def implanted(
    folder: Path, row: NoduleRow, chests: Mapping[str, Chest], detector: Detector, seed: Sequence[int]
) -> list[Sighting]:
    """A nodule at its visits in a random chest, each with slices of two of `SLICES`."""
    rng = np.random.default_rng(seed)
    name = str(rng.choice(sorted(chests)))
    place, found = np.zeros(3), list[Sighting]()
    for visit in range(VISITS):
        later = visit == 1
        nodule = _nodule(folder, row, float(rng.choice(GROWTHS)) if later else 1.0)
        if not later:
            place = _place(chests[name], row.diameter_mm / 2, rng)
        hu, mask, inside = _implanted(nodule, chests[name], place, rng)
        axes, volume = axes_of(mask.array, mask.affine), volume_of(mask.array, mask.affine)
        diameter = (axes.long_mm + axes.short_mm) / 2
        for slices in sorted(rng.choice(SLICES, 2, replace=False).tolist()):
            truth = Measured(row.name, row.patient, name, visit, slices * FINE_MM, diameter, volume)
            found.append(_seen(truth, hu, mask, inside, slices, detector, rng))
    return found


def _nodule(folder: Path, row: NoduleRow, grown: float) -> SourceNodule:
    """The nodule on the fine grid, its diameter grown by a factor."""
    parts = []
    for part in read_nodule(folder, row):
        affine = part.affine.copy()
        affine[:3, :3] *= grown
        parts.append(resample(Volume(part.array, affine), spacing_mm=FINE_MM))
    about = (row.name, row.patient, row.malignant, row.diameter_mm)
    return close_ends(SourceNodule(*about, parts[0].array, parts[1].array >= 0.5, 1.0))


def _place(chest: Chest, radius_mm: float, rng: np.random.Generator) -> NDArray:
    found = np.empty((0, 3), dtype=np.int64)
    while not len(found):
        found = places(chest, radius_mm, str(rng.choice(_ATTACHMENTS)), rng, 1)
    return np.asarray(found[0])


def _implanted(
    nodule: SourceNodule, chest: Chest, place: NDArray, rng: np.random.Generator
) -> tuple[Volume, Volume, NDArray[np.bool_]]:
    """HU with the nodule in the middle, its outline, and the lungs with their margin: one fine grid, turned alike."""
    longest = max(_EDGE_MM, nodule.diameter_mm * max(GROWTHS) + 24)
    edge = round(longest / FINE_MM / max(SLICES)) * max(SLICES)
    turn = Rotation.from_rotvec(rng.uniform(-1, 1, 3) * _TURN).as_matrix()
    half, shift = (edge - 1) / 2, rng.uniform(-0.5, 0.5, (3, 1))
    index = turn @ (np.indices((edge,) * 3).reshape(3, -1) - half) * FINE_MM + place[:, None] + shift
    index = index.reshape(3, edge, edge, edge)
    hu = ndimage.map_coordinates(chest.hu, index, order=1, mode="nearest").astype(np.float32)
    lungs = ndimage.map_coordinates(chest.lungs.astype(np.uint8), index, order=0) > 0
    away = ndimage.distance_transform_edt(~lungs, FINE_MM)
    middle, wide = np.argwhere(nodule.mask).mean(axis=0)[:, None], np.array(nodule.mask.shape) + 4
    source = turn @ (np.indices(wide).reshape(3, -1) - middle - 2 + rng.uniform(-0.5, 0.5, (3, 1))) + middle
    source = source.reshape(3, *wide)
    tissue = ndimage.map_coordinates(nodule.hu.astype(np.float32), source, order=1, mode="nearest")
    own = ndimage.map_coordinates(nodule.mask.astype(np.float32), source, order=1) >= 0.5
    start = np.rint(half - np.argwhere(own).mean(axis=0)).astype(np.int64)
    weight = weight_of(own, Blend(_MARGIN, 1.0))
    blend_in(hu, tissue.astype(np.float32), weight, start)
    mask = np.zeros_like(hu)
    blend_in(mask, own.astype(np.float32), np.ones_like(weight), start)
    affine = geometry.make_affine((FINE_MM,) * 3)
    return Volume(hu, affine), Volume(mask > 0.5, affine), (away <= _LUNG_MARGIN_MM) | (mask > 0.5)


def _seen(
    truth: Measured,
    hu: Volume,
    mask: Volume,
    inside: NDArray[np.bool_],
    slices: int,
    detector: Detector,
    rng: np.random.Generator,
) -> Sighting:
    """What the detector finds of the nodule in a scan whose slices are the mean of so many fine ones."""
    slabs = [part.reshape(-1, slices, *part.shape[1:]).mean(axis=1) for part in (hu.array, inside)]
    affine = geometry.make_affine((slices * FINE_MM, FINE_MM, FINE_MM), (0, 0, (slices - 1) / 2 * FINE_MM))
    noise = rng.normal(0, rng.uniform(0, _NOISE_HU), slabs[0].shape)
    scan = Volume(np.rint(np.clip(slabs[0] + noise, -1024, 3071)).astype(np.int16), affine)
    unmasked = resample(scan)
    shown = resample(scan.with_array(slabs[1].astype(np.float32))).array > 0.5
    labels = detector.labels(unmasked.with_array(np.where(shown, unmasked.array, _AIR_HU)))
    where = geometry.voxel_to_world(unmasked.affine, np.moveaxis(np.indices(labels.shape), 0, -1))
    nearest = np.rint(geometry.world_to_voxel(mask.affine, where)).astype(np.int64)
    nearest = np.clip(nearest, 0, np.array(mask.shape_zyx) - 1)
    hit = np.bincount(labels[mask.array[tuple(np.moveaxis(nearest, -1, 0))]])
    if not hit[1:].any():
        return Sighting(truth, scan, np.zeros(labels.shape, bool))
    label = labels == 1 + int(np.argmax(hit[1:]))
    found = geometry.voxel_to_world(unmasked.affine, np.argwhere(label).mean(axis=0))
    middle = geometry.voxel_to_world(mask.affine, np.argwhere(mask.array).mean(axis=0))
    off_mm = np.linalg.norm(found - middle)
    near = off_mm <= max((6 * truth.true_volume_mm3 / np.pi) ** (1 / 3) / 2, _LEAST_HIT_MM)
    return Sighting(truth, scan, label & near)


def measured(seen: Sighting) -> Measured:
    """The truth with what is measured of the nodule as `predict` measures, where it was found."""
    if not seen.label.any():
        return seen.truth
    unmasked, labels = resample(seen.scan), seen.label.astype(np.uint8)
    (found,) = measure_candidates(unmasked, labels, [1])
    (sizes,) = size_candidates(unmasked, labels, [1], seen.scan)
    alone = axes_of(seen.label, unmasked.affine)
    return replace(
        seen.truth,
        mean_mm=(sizes.axes.long_mm + sizes.axes.short_mm) / 2,
        label_mean_mm=(alone.long_mm + alone.short_mm) / 2,
        volume_mm3=sizes.volume_mm3,
        attenuation=found.attenuation,
        **dict(zip(("core_p10_hu", "core_p50_hu", "core_p90_hu"), found.core_percentiles_hu, strict=True)),
    )


def write_sightings(path: Path, sightings: Sequence[Sighting]) -> None:
    """All sightings of one nodule as one .npz."""
    arrays = {}
    for number, one in enumerate(sightings):
        arrays |= {f"scan{number}": one.scan.array, f"affine{number}": one.scan.affine, f"label{number}": one.label}
    words = json.dumps([asdict(one.truth) for one in sightings])
    partial = path.with_name(f"partial-{path.name}")
    np.savez_compressed(partial, truth=np.array(words), **arrays)  # type: ignore[arg-type]
    partial.replace(path)


def read_sightings(path: Path) -> list[Sighting]:
    """What `write_sightings` wrote."""
    with np.load(path) as file:
        truths = [Measured(**one) for one in json.loads(str(file["truth"]))]
        return [
            Sighting(truth, Volume(file[f"scan{k}"], file[f"affine{k}"]), file[f"label{k}"])
            for k, truth in enumerate(truths)
        ]


def read_measured(path: Path) -> list[Measured]:
    """The rows that `write_measured` wrote."""
    with open(path, newline="", encoding="utf-8") as handle:
        rows = [
            {n: (v if n in _WORDS else float(v) if v else None) for n, v in r.items()} for r in csv.DictReader(handle)
        ]
    return [Measured(**row | {"visit": int(row["visit"])}) for row in rows]  # type: ignore[arg-type]


def write_measured(path: Path, rows: Sequence[Measured]) -> None:
    """One row a nodule and slice thickness, as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, [field.name for field in fields(Measured)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
