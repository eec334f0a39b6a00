"""Chests of a user with nodules of known size, type and place, on the grid that they were scanned on."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.location import places_in_lungs
from lungline.synthetic.blending import SourceNodule
from lungline.synthetic.implant import ATTACHMENTS, Implanted, implant
from lungline.synthetic.recipients import Chest
from lungline.synthetic.source_nodules import NoduleRow

#: Lower ends in mm of the classes of size from which nodules are taken in turn.
SIZES_MM = {3.0: "3-6", 6.0: "6-10", 10.0: ">=10"}
#: What the places are called where they are reported.
TOUCHES = {"free": "free", "pleura": "pleural", "vessel": "vascular"}
#: A nodule whose centre lies this deep in the lung, in mm from its edge, is central.
CENTRAL_MM = 20.0
_HU = (-1024, 3071)


@dataclass(frozen=True)
class Wanted:
    """A nodule to be implanted, and what it shall touch: a key of `TOUCHES`."""

    row: NoduleRow
    attachment: str


@dataclass(frozen=True)
class Truth:
    """An implanted nodule as it is reported: world mm, LPS; diameter in mm of the mask that was implanted."""

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    size: str
    attenuation: str
    touches: str
    depth: str
    laterality: str
    zone: str
    source: str


def size_of(diameter_mm: float) -> str:
    """The class of a diameter in mm; what is below the first one is of the first."""
    return next((name for low, name in reversed(SIZES_MM.items()) if diameter_mm >= low), "3-6")


def plan_copies(rows: Sequence[NoduleRow], copies: int, per_scan: int, rng: np.random.Generator) -> list[list[Wanted]]:
    """What each copy of a chest gets: sizes and attachments in turn, within a size each nodule before one comes again.

    Of a size without a nodule in `rows` nothing is implanted.
    """
    by_size = {name: [row for row in rows if size_of(row.diameter_mm) == name] for name in SIZES_MM.values()}
    cells = [cell for cell in product(by_size, ATTACHMENTS) if by_size[cell[0]]]
    waiting: dict[str, list[NoduleRow]] = {name: [] for name in by_size}
    order: list[tuple[str, str]] = []
    plans = []
    for _ in range(copies):
        chosen: list[Wanted] = []
        for _ in range(per_scan if cells else 0):
            if not order:
                order = [cells[i] for i in rng.permutation(len(cells))]
            size, attachment = order.pop()
            if not waiting[size]:
                waiting[size] = [by_size[size][i] for i in rng.permutation(len(by_size[size]))]
            chosen.append(Wanted(waiting[size].pop(), attachment))
        plans.append(chosen)
    return plans


def implanted_copy(
    native: Volume, chest: Chest, wanted: Sequence[Wanted], sources: Sequence[SourceNodule], rng: np.random.Generator
) -> tuple[Volume, list[Truth]]:
    """The scan `native` (int16 HU) with these nodules, and where they lie; nodules without a place are left out.

    They are blended into `chest`, the same scan at 1 mm; what that changed is added to the scan itself, so that not a
    voxel elsewhere differs.
    """
    made = implant(chest, sources, [], rng, attachments=[one.attachment for one in wanted])
    attenuations = {one.row.name: one.row.attenuation for one in wanted}
    places = places_in_lungs(Volume(chest.lungs, chest.affine), [one.centre_xyz_mm for one in made.nodules])
    truth = [
        _described(one, chest, attenuations[one.source] or "not given", laterality, zone)
        for one, (laterality, zone) in zip(made.nodules, places, strict=True)
    ]
    return native.with_array(_with_change(native, made.hu - chest.hu, chest.affine)), truth


def _described(one: Implanted, chest: Chest, attenuation: str, laterality: str, zone: str) -> Truth:
    index = np.rint(geometry.world_to_voxel(chest.affine, one.centre_xyz_mm)).astype(int)
    index = np.clip(index, 0, np.array(chest.hu.shape) - 1)
    depth = "central" if chest.depth_mm[tuple(index)] >= CENTRAL_MM else "peripheral"
    size, touches = size_of(one.diameter_mm), TOUCHES[one.attachment]
    where = (one.centre_xyz_mm, one.diameter_mm)
    return Truth(*where, size, attenuation, touches, depth, laterality, zone, one.source)


def _with_change(native: Volume, change: NDArray[np.float32], affine: geometry.Affine) -> NDArray[np.int16]:
    """HU (Z, Y, X) of a scan with a change on another grid, interpolated linearly; the rest is what it was."""
    to_other = np.linalg.inv(affine) @ native.affine  # voxel of the scan -> voxel of the change
    hu = np.array(native.array, dtype=np.int16)
    labels, _ = ndimage.label(ndimage.binary_dilation(change != 0, iterations=2))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        first, last = (np.array([getattr(part, end) for part in box]) for end in ("start", "stop"))
        corners = np.array(list(product(*zip(first, last - 1, strict=True))))
        there = geometry.world_to_voxel(native.affine, geometry.voxel_to_world(affine, corners))
        low = np.maximum(np.floor(there.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(there.max(axis=0)).astype(int) + 1, hu.shape)
        if np.any(low >= high):
            continue
        own = np.where(labels[box] == number, change[box], 0)
        offset = to_other[:3, :3] @ low + to_other[:3, 3] - first
        added = np.rint(ndimage.affine_transform(own, to_other[:3, :3], offset, tuple(high - low), order=1))
        part = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        hu[part] = np.where(added == 0, hu[part], np.clip(hu[part] + added, *_HU)).astype(np.int16)
    return hu
