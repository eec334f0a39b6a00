"""Nodules and their look-alikes: what they are, how many, how large, where they may lie; and drawing them.

A benign nodule is a smooth ball or ellipsoid with a sharp edge, some with a calcified centre. A malignant one is
spiculated (strands of 1 to 1.8 mm that run out into the lung) or lobulated (three to six bumps), solid or
part-solid (ground glass around a solid core). Size does not tell them apart: see `patient_profile`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.synthetic.anatomy import SIDES, Anatomy
from lungline.synthetic.rendering import Array, Distance, Grid, ball_distance, ellipsoid_distance, paint, paint_capsule
from lungline.synthetic.seeds import random_stream

BENIGN_MM = (3.0, 18.0)
MALIGNANT_MM = (5.0, 20.0)
SOLID_HU = (15.0, 55.0)
CALCIFIED_HU = (300.0, 800.0)
GROUND_GLASS_HU = (-500.0, -350.0)
#: Width of the hazy border of a solid malignant nodule, and how much fainter than ground glass it is.
RIM_MM = (2.0, 3.5)
RIM_OVER_GLASS_HU = -50.0

#: After this many sets of random points without a place for a nodule the chest counts as too small.
MOST_ATTEMPTS = 40

Margin = Literal["smooth", "spiculated", "lobulated"]
Texture = Literal["solid", "calcified", "part-solid"]


@dataclass(frozen=True)
class Nodule:
    """One nodule, in the body's frame."""

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float  # of its body, bumps included, spicules not
    margin: Margin
    texture: Texture
    side: str  # the lung it lies in
    pleural: bool  # whether it touches the surface of the lung
    seed: int  # decides its details: axes, bumps, spicules, HU

    @property
    def malignant(self) -> bool:
        return self.margin != "smooth"

    @property
    def kind(self) -> str:
        """Such as `benign-calcified` or `malignant-spiculated-solid`."""
        return f"malignant-{self.margin}-{self.texture}" if self.malignant else f"benign-{self.texture}"

    @property
    def radius_mm(self) -> float:
        return self.diameter_mm / 2


@dataclass(frozen=True)
class Wanted:
    """A nodule that has a size and a kind but no place yet."""

    diameter_mm: float
    malignant: bool


def patient_profile(rng: np.random.Generator, pair: np.random.Generator, cancer: bool) -> list[Wanted]:
    """Sizes and kinds of the nodules of one patient, largest first.

    `rng` is the patient's own. `pair` is the same for the two patients of a pair, one with cancer and one without:
    both draw the number and the size of their largest nodule from it, so neither tells them apart, in any set of
    pairs. In life size does inform the label; here it hardly may, so that what is learnt is appearance.
    """
    count = int(pair.integers(1, 4))
    common = pair.triangular(6.0, 10.5, 18.5)
    largest = float(np.clip(common + rng.uniform(-0.6, 1.6 if cancer else 1.1), 6.0, BENIGN_MM[1] + 1.5 * cancer))
    rest = sorted(rng.triangular(3.2, 5.0, 9.0, count - 1).clip(3.2, 0.9 * largest), reverse=True)
    sizes = [largest, *map(float, rest)]
    malignant = 0
    if cancer and count > 1 and rng.random() < 0.25:  # the largest is not always the malignant one
        sizes[1] = max(float(rng.uniform(0.65, 0.95) * largest), MALIGNANT_MM[0])
        malignant = 1
    return [Wanted(d, cancer and k == malignant) for k, d in enumerate(sizes)]


def detection_profile(rng: np.random.Generator) -> list[Wanted]:
    """Sizes and kinds of the nodules of a LUNA-16 scan: three to five, both kinds, all annotated."""
    wanted = []
    for k in range(int(rng.integers(3, 6))):
        malignant = k == 0 or (k > 1 and rng.random() < 0.4)
        low, mode, high = (6.0, 10.0, 18.0) if malignant else (3.6, 7.0, 15.0)
        wanted.append(Wanted(float(rng.triangular(low, mode, high)), malignant))
    return sorted(wanted, key=lambda w: -w.diameter_mm)


def place_nodules(rng: np.random.Generator, anatomy: Anatomy, wanted: list[Wanted]) -> tuple[Nodule, ...]:
    """Give every wanted nodule a place inside a lung, clear of the others and of the mediastinum.

    About one in four touches the pleura. A nodule too large for a small chest shrinks until it fits;
    `LunglineError` if none does.
    """
    placed: list[Nodule] = []
    for want in wanted:
        nodule = _describe(rng, want)
        for attempt in range(MOST_ATTEMPTS):
            centre = _find_place(rng, anatomy, nodule, placed)
            if centre is not None:
                break
            if attempt > 4:
                smaller = max(0.95 * nodule.diameter_mm, (MALIGNANT_MM if want.malignant else BENIGN_MM)[0])
                nodule = replace(nodule, diameter_mm=round(smaller, 2), pleural=False)
        else:
            raise LunglineError(
                f"no room for {len(wanted)} nodules at anatomy_scale {anatomy.scale}. Use a larger one."
            )
        placed.append(replace(nodule, centre_xyz_mm=centre))
    return tuple(placed)


def _find_place(
    rng: np.random.Generator, anatomy: Anatomy, nodule: Nodule, placed: list[Nodule]
) -> tuple[float, float, float] | None:
    """A random point of the nodule's lung where it fits, or None if none of many did."""
    points = anatomy.points_in_lung_box(rng, nodule.side, 500)
    depth = anatomy.lung_depth(nodule.side, points)
    r = nodule.radius_mm
    low, high = (0.62 * r, 0.9 * r) if nodule.pleural else (r + 1.2, np.inf)
    fits = (depth > low) & (depth < high) & _clear_of_mediastinum(anatomy, points, r)
    for other in placed:
        fits &= np.linalg.norm(points - other.centre_xyz_mm, axis=1) - r - other.radius_mm > 5.0
    if not fits.any():
        return None
    x, y, z = points[int(np.argmax(fits))].tolist()
    return x, y, z


def _describe(rng: np.random.Generator, want: Wanted) -> Nodule:
    side = SIDES[int(rng.random() < 0.45)]
    pleural = bool(rng.random() < 0.25)
    margin: Margin = "smooth"
    texture: Texture = "calcified" if rng.random() < 0.3 else "solid"
    if want.malignant:
        margin = "spiculated" if rng.random() < 0.6 else "lobulated"
        texture = "part-solid" if rng.random() < 0.4 else "solid"
    low, high = MALIGNANT_MM if want.malignant else BENIGN_MM
    diameter = round(float(np.clip(want.diameter_mm, low, high)), 2)
    return Nodule((0, 0, 0), diameter, margin, texture, side, pleural, int(rng.integers(2**31)))


def _clear_of_mediastinum(anatomy: Anatomy, points: NDArray[np.float64], radius_mm: float) -> NDArray[np.bool_]:
    """Where a nodule touches neither the mediastinum nor the hilum, and lies within the volume's height."""
    x, _, z = points.T
    hilum = np.min([np.linalg.norm(points - anatomy.hilum_xyz_mm(side), axis=1) for side in SIDES], axis=0)
    return np.asarray(
        (np.abs(x) > 16 * anatomy.scale + radius_mm + 3)
        & (hilum > 20 * anatomy.scale + radius_mm)
        & (z > radius_mm + 2)
        & (z < anatomy.height_mm - radius_mm - 2)
        & (anatomy.heart_distance(*points.T) > radius_mm + 2)
    )


def paint_nodule(volume_hu: Array, grid: Grid, nodule: Nodule) -> None:
    """Draw one nodule in place; all its details follow from its seed."""
    rng = random_stream("nodule", nodule.seed)
    solid = float(rng.uniform(*SOLID_HU))
    if nodule.malignant:
        _paint_malignant(volume_hu, grid, nodule, rng, solid)
        return
    centre, r = np.asarray(nodule.centre_xyz_mm), nodule.radius_mm
    half_axes = r * np.array([1.0, rng.uniform(0.85, 1.0), rng.uniform(0.85, 1.0)])
    shape = ellipsoid_distance(centre, half_axes, _random_frame(rng))
    paint(volume_hu, grid, centre - r - 1, centre + r + 1, shape, solid)
    if nodule.texture == "calcified":
        core = r * float(rng.uniform(0.4, 0.6))
        hu = float(rng.uniform(*CALCIFIED_HU))
        paint(volume_hu, grid, centre - core - 1, centre + core + 1, ball_distance(centre, core), hu)


def _paint_malignant(volume_hu: Array, grid: Grid, nodule: Nodule, rng: np.random.Generator, solid: float) -> None:
    centre, r = np.asarray(nodule.centre_xyz_mm), nodule.radius_mm
    directions = _spread_directions(rng, int(rng.integers(4, 7)))
    lobulated = nodule.margin == "lobulated"

    def body(radius: float) -> Distance:
        if not lobulated:
            return ellipsoid_distance(centre, radius * np.array([1.0, 0.92, 0.88]), np.eye(3))
        bumps = [(centre + 0.74 * radius * d, 0.44 * radius) for d in directions]
        balls = [ball_distance(c, b) for c, b in [(centre, 0.76 * radius), *bumps]]
        return lambda x, y, z: np.minimum.reduce([ball(x, y, z) for ball in balls])

    low, high = centre - r - 1, centre + r + 1
    core = r
    haze = float(rng.uniform(*GROUND_GLASS_HU))
    if nodule.texture == "part-solid":
        paint(volume_hu, grid, low, high, body(r), haze)
        core = r * float(rng.uniform(0.48, 0.6))
    else:  # a solid cancer has no sharp edge: it grows along the walls of the alveoli
        rim = float(rng.uniform(*RIM_MM))
        paint(volume_hu, grid, low - rim, high + rim, body(r + rim), haze + RIM_OVER_GLASS_HU)
    paint(volume_hu, grid, low, high, body(core), solid)
    if not lobulated:
        count = int(rng.integers(20, 31))
        for direction in _spread_directions(rng, count):
            length = float(rng.uniform(4.0, 8.0))
            thick = float(rng.uniform(0.7, 0.9))
            start, end = centre + 0.6 * core * direction, centre + (r + length) * direction
            paint_capsule(volume_hu, grid, start, end, thick, 0.7 * thick, solid)


def paint_scars(
    volume_hu: Array, grid: Grid, rng: np.random.Generator, anatomy: Anatomy, nodules: Sequence[Nodule]
) -> None:
    """Draw none to three strands or plates of scar tissue, look-alikes that are long or flat, where no nodule is."""
    for _ in range(int(rng.integers(0, 4))):
        side = SIDES[int(rng.integers(2))]
        points = anatomy.points_in_lung_box(rng, side, 200)
        clear = anatomy.lung_depth(side, points) > 3.0
        for nodule in nodules:
            clear &= np.linalg.norm(points - nodule.centre_xyz_mm, axis=1) > nodule.radius_mm + 12.0
        frame = _random_frame(rng)
        plate = rng.random() < 0.4
        half_axes = np.array([rng.uniform(4, 7), rng.uniform(3, 5) if plate else rng.uniform(0.6, 1.0), 0.7])
        hu = float(rng.uniform(-150, 40))
        if clear.any():
            centre, reach = points[int(np.argmax(clear))], np.abs(frame.T) @ half_axes + 1
            paint(volume_hu, grid, centre - reach, centre + reach, ellipsoid_distance(centre, half_axes, frame), hu)


def _random_frame(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(rng.standard_normal((3, 3)))[0])


def _spread_directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Unit vectors (count, 3) spread evenly over the sphere, turned at random and shaken a little."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    even = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1)
    shaken = even @ _random_frame(rng).T + 0.18 * rng.standard_normal((count, 3))
    return np.asarray(shaken / np.linalg.norm(shaken, axis=1, keepdims=True))
