"""Nodules and their look-alikes: what they are, how many, how large, where they may lie.

A benign nodule is a smooth ball or ellipsoid with a sharp edge, some with a calcified centre. A malignant one is
spiculated (strands of 1 to 1.8 mm that run out into the lung) or lobulated (three to six bumps), solid or
part-solid (ground glass around a solid core). Size does not tell them apart: see `Profile`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungline.errors import LunglineError
from lungline.synthetic.anatomy import SIDES, Anatomy

BENIGN_MM = (3.0, 18.0)
MALIGNANT_MM = (5.0, 20.0)

#: After this many sets of random points without a place for a nodule the chest counts as too small.
MOST_ATTEMPTS = 40

Margin = Literal["smooth", "spiculated", "lobulated"]
Texture = Literal["solid", "calcified", "part-solid"]


@dataclass(frozen=True)
class Nodule:
    """One nodule, in the body's frame.

    Attributes
    ----------
    centre_xyz_mm : three floats
    diameter_mm : float
        Of the body of the nodule, bumps included, spicules not.
    margin, texture : str
    side : str
        The lung it lies in.
    pleural : bool
        Whether it touches the surface of the lung.
    seed : int
        Decides its details: axes, bumps, spicules, HU.
    """

    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    margin: Margin
    texture: Texture
    side: str
    pleural: bool
    seed: int

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

    Parameters
    ----------
    rng : Generator
        The patient's own.
    pair : Generator
        The same for the two patients of a pair, one with cancer and one without: both draw the number and the
        size of their largest nodule from it. So neither tells them apart, in any set of pairs.
    cancer : bool

    Notes
    -----
    Source: ours. In life size does inform the label; here it hardly may, so that what is learnt is appearance.
    """
    count = int(pair.integers(1, 4))
    common = pair.triangular(6.0, 10.5, 18.5)
    largest = float(np.clip(common + rng.uniform(-0.6, 1.6 if cancer else 1.1), 6.0, BENIGN_MM[1] + 1.5 * cancer))
    rest = sorted(rng.triangular(3.2, 5.0, 9.0, count - 1).clip(3.2, 0.9 * largest), reverse=True)
    sizes = [largest, *map(float, rest)]
    if not cancer:
        return [Wanted(d, False) for d in sizes]
    if count > 1 and rng.random() < 0.25:  # the largest is not always the malignant one
        sizes[1] = max(float(rng.uniform(0.65, 0.95) * largest), MALIGNANT_MM[0])
        return [Wanted(d, k == 1) for k, d in enumerate(sizes)]
    return [Wanted(d, k == 0) for k, d in enumerate(sizes)]


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

    About one in four touches the pleura. A nodule too large for a small chest shrinks until it fits.

    Raises
    ------
    LunglineError
        If the chest is too small for its nodules.
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
    points = _points_in_lung_box(rng, anatomy, nodule.side, 500)
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


def _points_in_lung_box(rng: np.random.Generator, anatomy: Anatomy, side: str, count: int) -> NDArray[np.float64]:
    low, high = anatomy.lung_box_mm(side)
    return np.asarray(low + rng.random((count, 3)) * (high - low))


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


@dataclass(frozen=True)
class Scar:
    """A strand or a plate of scar tissue: an ellipsoid, in the body's frame.

    Attributes
    ----------
    centre_xyz_mm, half_axes_mm : three floats
    frame : (3, 3) array
        Row k is the unit vector of half axis k.
    hu : float
    """

    centre_xyz_mm: NDArray[np.float64]
    half_axes_mm: NDArray[np.float64]
    frame: NDArray[np.float64]
    hu: float


def draw_scars(rng: np.random.Generator, anatomy: Anatomy, nodules: tuple[Nodule, ...]) -> list[Scar]:
    """None to three look-alikes that are long or flat, where no nodule is."""
    scars = []
    for _ in range(int(rng.integers(0, 4))):
        side = SIDES[int(rng.integers(2))]
        points = _points_in_lung_box(rng, anatomy, side, 200)
        clear = anatomy.lung_depth(side, points) > 3.0
        for nodule in nodules:
            clear &= np.linalg.norm(points - nodule.centre_xyz_mm, axis=1) > nodule.radius_mm + 12.0
        frame = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        plate = rng.random() < 0.4
        half_axes = np.array([rng.uniform(4, 7), rng.uniform(3, 5) if plate else rng.uniform(0.6, 1.0), 0.7])
        hu = float(rng.uniform(-150, 40))
        if clear.any():
            scars.append(Scar(points[int(np.argmax(clear))], half_axes, frame, hu))
    return scars
