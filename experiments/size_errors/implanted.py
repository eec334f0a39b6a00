"""Nodules of known outline in real lungs, scanned with slices of known thickness and measured as `predict` measures."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

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
_WORDS = ("nodule", "patient", "chest", "attenuation")
_EDGE_MM = 44.0
_MARGIN, _ATTACHMENTS = 8.0, ("free", "free", "vessel", "pleura")
_NOISE_HU = 20.0  # at most
_AIR_HU = -1000.0
_LEAST_HIT_MM = 2.0  # or the nodule's radius: a candidate whose middle is farther away is another
_LUNG_MARGIN_MM = 5  # as `segment_lungs` is configured


@dataclass(frozen=True)
class Measured:
    """One implanted nodule: what is true of it, and what was measured; None where the detector missed it."""

    nodule: str
    patient: str
    chest: str
    slice_mm: float
    true_mean_mm: float  # of the readers' outline
    true_volume_mm3: float
    mean_mm: float | None = None
    label_mean_mm: float | None = None  # of the label map alone, on the grid of 1 mm
    volume_mm3: float | None = None
    attenuation: str = ""


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


def measure_implanted(
    folder: Path, rows: Sequence[NoduleRow], chests: Mapping[str, Chest], detector: Detector, seed: int
) -> Iterator[Measured]:
    """Each nodule of `rows` in a random chest at a random place, with slices of two of `SLICES`."""
    for number, row in enumerate(rows):
        rng = np.random.default_rng([seed, number])
        name = str(rng.choice(sorted(chests)))
        hu, mask, inside = _implanted(folder, row, chests[name], rng)
        axes, volume = axes_of(mask.array, mask.affine), volume_of(mask.array, mask.affine)
        for slices in sorted(rng.choice(SLICES, 2, replace=False).tolist()):
            diameter = (axes.long_mm + axes.short_mm) / 2
            truth = Measured(row.name, row.patient, name, slices * FINE_MM, diameter, volume)
            yield _measured(truth, hu, mask, inside, slices, detector, rng)


def _implanted(
    folder: Path, row: NoduleRow, chest: Chest, rng: np.random.Generator
) -> tuple[Volume, Volume, NDArray[np.bool_]]:
    """HU with the nodule in the middle, its outline, and the lungs with their margin, on one fine grid."""
    ct, outlined = (resample(part, spacing_mm=FINE_MM) for part in read_nodule(folder, row))
    about = (row.name, row.patient, row.malignant, row.diameter_mm)
    nodule = close_ends(SourceNodule(*about, ct.array, outlined.array >= 0.5, 1.0))
    radius, places_found = row.diameter_mm / 2, np.empty((0, 3), dtype=np.int64)
    while not len(places_found):
        places_found = places(chest, radius, str(rng.choice(_ATTACHMENTS)), rng, 1)
    edge = round(max(_EDGE_MM, row.diameter_mm + 24) / FINE_MM / max(SLICES)) * max(SLICES)
    first = places_found[0] - (edge - 1) / 2 * FINE_MM + rng.uniform(-0.5, 0.5, 3)
    index = first.reshape(3, 1, 1, 1) + FINE_MM * np.indices((edge,) * 3)
    hu = ndimage.map_coordinates(chest.hu, index, order=1, mode="nearest").astype(np.float32)
    lungs = ndimage.map_coordinates(chest.lungs.astype(np.uint8), index, order=0) > 0
    away = ndimage.distance_transform_edt(~lungs, FINE_MM)
    start = np.rint((edge - 1) / 2 - np.argwhere(nodule.mask).mean(axis=0)).astype(np.int64)
    weight = weight_of(nodule.mask, Blend(_MARGIN, 1.0))
    blend_in(hu, nodule.hu, weight, start)
    mask = np.zeros_like(hu)
    blend_in(mask, nodule.mask.astype(np.float32), np.ones_like(weight), start)
    affine = geometry.make_affine((FINE_MM,) * 3)
    return Volume(hu, affine), Volume(mask > 0.5, affine), (away <= _LUNG_MARGIN_MM) | (mask > 0.5)


def _measured(
    truth: Measured,
    hu: Volume,
    mask: Volume,
    inside: NDArray[np.bool_],
    slices: int,
    detector: Detector,
    rng: np.random.Generator,
) -> Measured:
    """What is measured of the nodule in a scan whose slices are the mean of so many fine ones."""
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
        return truth
    label = 1 + int(np.argmax(hit[1:]))
    found = geometry.voxel_to_world(unmasked.affine, np.argwhere(labels == label).mean(axis=0))
    middle = geometry.voxel_to_world(mask.affine, np.argwhere(mask.array).mean(axis=0))
    if np.linalg.norm(found - middle) > max((6 * truth.true_volume_mm3 / np.pi) ** (1 / 3) / 2, _LEAST_HIT_MM):
        return truth
    (measured,) = measure_candidates(unmasked, labels, [label])
    (sizes,) = size_candidates(unmasked, labels, [label], scan)
    alone = axes_of(labels == label, unmasked.affine)
    return Measured(
        **{name: getattr(truth, name) for name in ("nodule", "patient", "chest", "slice_mm")},
        true_mean_mm=truth.true_mean_mm,
        true_volume_mm3=truth.true_volume_mm3,
        mean_mm=(sizes.axes.long_mm + sizes.axes.short_mm) / 2,
        label_mean_mm=(alone.long_mm + alone.short_mm) / 2,
        volume_mm3=sizes.volume_mm3,
        attenuation=measured.attenuation,
    )


def read_measured(path: Path) -> list[Measured]:
    """The rows that `write_measured` wrote."""
    with open(path, newline="", encoding="utf-8") as handle:
        return [
            Measured(**{n: (v if n in _WORDS else float(v) if v else None) for n, v in row.items()})  # type: ignore[arg-type]
            for row in csv.DictReader(handle)
        ]


def write_measured(path: Path, rows: Sequence[Measured]) -> None:
    """One row a nodule and slice thickness, as CSV."""
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, [field.name for field in fields(Measured)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
