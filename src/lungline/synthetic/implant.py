"""Implant nodules, and distractors by the same blending, into a chest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.imaging import geometry
from lungline.imaging.volume import overlap
from lungline.synthetic.blending import Blend, SourceNodule, blend_in, close_ends, match, noise_of, vary, weight_of
from lungline.synthetic.recipients import Chest, places

HU = NDArray[np.float32]  # (Z, Y, X)
Voxel = NDArray[np.int64]  # z, y, x

ATTACHMENTS, _SHARES = ("free", "pleura", "vessel"), (0.5, 0.25, 0.25)
_TRIES = 60
_GAP_MM = 6.0
_INSIDE = 0.7  # of a nodule's voxels, in the lungs
_WALL_SHARE, _WALL_HU = 0.12, -300.0  # surroundings with more soft tissue than this stay behind
_NEAR_MM = 2.0


@dataclass(frozen=True)
class Implanted:
    """A nodule where it lies now: centre in world mm, LPS, diameter in mm, and who it was."""

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    malignant: int
    source: str
    attachment: str


@dataclass(frozen=True, eq=False)
class ImplantedScan:
    """HU (Z, Y, X) float32, the number of the nodule in each voxel (uint8, 0 none), and the nodules by number."""

    hu: HU
    numbers: NDArray[np.uint8]
    nodules: tuple[Implanted, ...]


def implant(
    chest: Chest,
    nodules: Sequence[SourceNodule],
    distractors: Sequence[SourceNodule],
    rng: np.random.Generator,
    *,
    attachments: Sequence[str] = (),
) -> ImplantedScan:
    """Put each nodule somewhere into the lungs; and, as negatives, tissue that is none, cut in the shape of
    `distractors`.

    Half of the distractors are lung with vessels of the same chest, the others what lies around a nodule in its
    own scan, without it. A nodule for which no place is found is left out. `attachments` says of each nodule what it
    shall touch ("free", "pleura", "vessel"); without them that is drawn.
    """
    hu, numbers = chest.hu.copy(), np.zeros(chest.hu.shape, dtype=np.uint8)
    taken: list[tuple[Voxel, float]] = []
    found: list[Implanted] = []
    for number in sorted(range(len(nodules)), key=lambda number: -nodules[number].diameter_mm):
        piece = vary(close_ends(nodules[number]), rng)
        blend = _blend_of(piece, rng)
        attachment = attachments[number] if attachments else str(rng.choice(ATTACHMENTS, p=_SHARES))
        first = _place(chest, piece, attachment, taken, rng)
        if first is None:
            continue
        _blend(hu, chest, piece, weight_of(piece.mask, blend), first, rng)
        there, own = overlap(hu.shape, piece.mask.shape, first)
        numbers[there][piece.mask[own]] = len(found) + 1
        centre = geometry.voxel_to_world(chest.affine, first + np.argwhere(piece.mask).mean(axis=0))
        x, y, z = centre.tolist()
        found.append(Implanted((x, y, z), _diameter_mm(piece.mask), piece.malignant, piece.name, attachment))
    for number, source in enumerate(distractors):
        piece = vary(close_ends(source), rng)
        first = _place(chest, piece, str(rng.choice(ATTACHMENTS, p=_SHARES)), taken, rng)
        if first is None:
            continue
        if number % 2:
            _blend_lung(hu, chest, piece, first, rng)
        else:
            _blend(hu, chest, piece, _weight_around(piece, rng), first, rng)
    return ImplantedScan(hu, numbers, tuple(found))


def _diameter_mm(mask: NDArray[np.bool_]) -> float:
    """Mean of the longest extents of the mask in z, y and x, but no less than that of a ball of its volume."""
    extents = [np.ptp(np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))) + 1 for axis in range(3)]
    return float(max(np.mean(extents), (6 * mask.sum() / np.pi) ** (1 / 3)))


def _blend_of(piece: SourceNodule, rng: np.random.Generator) -> Blend:
    """A blend; a tight one where the surroundings hold much of a chest wall."""
    blend = Blend.sample(rng)
    return Blend(min(blend.margin_mm, 3.0), blend.power) if _holds_wall(piece) else blend


def _holds_wall(piece: SourceNodule) -> bool:
    return bool(np.mean(piece.hu[~piece.mask] > _WALL_HU) > _WALL_SHARE)


def _place(
    chest: Chest, piece: SourceNodule, attachment: str, taken: list[tuple[Voxel, float]], rng: np.random.Generator
) -> Voxel | None:
    """First voxel of a piece whose nodule lies in the lungs, apart from those in `taken`, where it is then noted."""
    middle = np.rint(np.argwhere(piece.mask).mean(axis=0)).astype(np.int64)
    radius = _diameter_mm(piece.mask) / 2
    for voxel in places(chest, radius, attachment, rng, _TRIES):
        if any(np.linalg.norm(voxel - other) < radius + reach + _GAP_MM for other, reach in taken):
            continue
        first = voxel - middle
        there, own = overlap(chest.hu.shape, piece.mask.shape, first)
        if np.sum(chest.lungs[there] & piece.mask[own]) < _INSIDE * piece.mask.sum():
            continue
        taken.append((voxel, radius))
        return np.asarray(first)
    return None


def _blend(
    hu: HU, chest: Chest, piece: SourceNodule, weight: NDArray[np.float32], first: Voxel, rng: np.random.Generator
) -> None:
    matched = match(
        piece.hu,
        thickness_mm=(piece.thickness_mm, chest.thickness_mm),
        noise_hu=(noise_of(piece.hu), chest.noise_hu),
        receiving_grain=chest.grain_like(piece.hu.shape, rng),
    )
    blend_in(hu, matched, weight, first)


def _weight_around(piece: SourceNodule, rng: np.random.Generator) -> NDArray[np.float32]:
    """Weight of what lies around a nodule in its own scan: a blend with the nodule, less one of it and its rim."""
    margin_mm = float(rng.uniform(6, 12))
    wide, tight = Blend(4.0 if _holds_wall(piece) else margin_mm, 1.0), Blend(_NEAR_MM, 0.5)
    return np.asarray(weight_of(piece.mask, wide) * (1 - weight_of(piece.mask, tight)))


def _blend_lung(hu: HU, chest: Chest, piece: SourceNodule, first: Voxel, rng: np.random.Generator) -> None:
    """Blend lung, rather one with a vessel, of another place of the chest, in the shape of a nodule."""
    weight = weight_of(piece.mask, _blend_of(piece, rng))
    for voxel in places(chest, max(piece.mask.shape) / 2 - 4, "vessel", rng, 1):
        source_first = voxel - np.array(piece.mask.shape) // 2
        there, own = overlap(hu.shape, piece.mask.shape, source_first)
        tissue = np.full(piece.mask.shape, -850, dtype=np.float32)
        tissue[own] = chest.hu[there]
        lung = np.zeros(piece.mask.shape, dtype=np.float32)
        lung[own] = chest.lungs[there]
        flips = tuple(axis for axis in range(3) if rng.integers(2))
        blend_in(hu, np.flip(tissue, flips), weight * np.flip(lung, flips), first)
