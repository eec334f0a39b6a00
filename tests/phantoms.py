"""A chest made of a few ellipsoids, whose parts are known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungline.imaging import geometry
from lungline.imaging.volume import Volume

SHAPE_ZYX = (110, 136, 176)
LUNG_ZYX_MM = {"right": (55, 62, 50), "left": (55, 62, 126)}  # x runs to the patient's left
LUNG_RADII_MM = (42, 34, 26)
WINDPIPE_YX_MM = (60, 88)
GAS_ZYX_MM, GAS_RADII_MM = (9, 40, 126), (7, 13, 20)
LUNG_HU, GAS_HU, AIR_HU, SOFT_HU = -850, -1000, -1000, 40


@dataclass(frozen=True)
class Chest:
    """HU of the chest, and what is where: (Z, Y, X) bool masks."""

    ct: Volume
    body: NDArray[np.bool_]
    lungs: NDArray[np.bool_]
    windpipe: NDArray[np.bool_]
    gas: NDArray[np.bool_]


def ball(centre_zyx_mm, radii_mm, shape=SHAPE_ZYX, spacing_mm=1.0):
    """Mask (Z, Y, X) of an ellipsoid."""
    axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
    radii = np.broadcast_to(radii_mm, 3)
    return sum(((a * spacing_mm - c) / r) ** 2 for a, c, r in zip(axes, centre_zyx_mm, radii, strict=True)) <= 1


def make_chest(
    *, sides=("right", "left"), gas=True, windpipe=True, lesions=(), spacing_mm=1.0, noise_hu=20.0, disc=None
) -> Chest:
    """A body on a table, in air: lungs, a windpipe that opens at the top and into both lungs, bowel gas.

    Parameters
    ----------
    lesions : sequence of (centre_zyx_mm, radii_mm, hu)
        Painted last.
    disc : (y_mm, x_mm, radius_mm) or None
        What lies outside this disc is padding, as scanners write it.
    """
    shape = tuple(round(n / spacing_mm) for n in SHAPE_ZYX)

    def egg(centre, radii):
        return ball(centre, radii, shape, spacing_mm)

    z, y, x = (a * spacing_mm for a in np.ogrid[: shape[0], : shape[1], : shape[2]])
    hu = np.full(shape, AIR_HU, dtype=np.float32)
    hu[:, round(122 / spacing_mm) : round(132 / spacing_mm)] = -100  # the table's shell, and foam in it
    hu[:, round(124 / spacing_mm) : round(130 / spacing_mm), round(10 / spacing_mm) : round(166 / spacing_mm)] = -900
    body = np.broadcast_to(((y - 62) / 54) ** 2 + ((x - 88) / 82) ** 2 <= 1, shape).copy()
    hu[body] = SOFT_HU
    hu[:, round(115 / spacing_mm) : round(118 / spacing_mm), round(60 / spacing_mm) : round(116 / spacing_mm)] = -1000
    lungs = np.zeros(shape, dtype=bool)
    pipe = np.zeros(shape, dtype=bool)
    for side in sides:
        centre = LUNG_ZYX_MM[side]
        lungs |= egg(centre, LUNG_RADII_MM)
        if windpipe:  # a level main bronchus from the windpipe into the lung
            between = (x > min(88, centre[2])) & (x < max(88, centre[2]))
            pipe |= between & ((z - 60) ** 2 + (y - 60) ** 2 <= 4**2)
    if windpipe:
        pipe |= ((y - WINDPIPE_YX_MM[0]) ** 2 + (x - WINDPIPE_YX_MM[1]) ** 2 <= 6**2) & (z >= 57)
    hu[lungs] = LUNG_HU
    hu[pipe] = GAS_HU
    bowel = egg(GAS_ZYX_MM, GAS_RADII_MM) & ~lungs if gas else np.zeros(shape, dtype=bool)
    hu[bowel] = GAS_HU
    for centre, radii, value in lesions:
        hu[egg(centre, radii)] = value
    hu += np.random.default_rng(0).normal(0, noise_hu, shape).astype(np.float32)
    if disc:
        hu[np.broadcast_to((y - disc[0]) ** 2 + (x - disc[1]) ** 2 > disc[2] ** 2, shape)] = -1024
    hu = np.maximum(hu, -1024)
    return Chest(Volume(hu, geometry.make_affine((spacing_mm,) * 3)), body, lungs, pipe & ~lungs, bowel)


def adult_chest(x, y, z):
    """HU at world points (mm, LPS): a trunk on a table whose lungs reach from z = -130 to 130; 5 litres of lung."""
    hu = np.full(np.broadcast(x, y, z).shape, float(AIR_HU))
    body = ((x / 170) ** 2 + (y / 110) ** 2 <= 1) & (abs(z) < 900)
    hu[body] = SOFT_HU
    hu[body & ((x / 162) ** 2 + (y / 102) ** 2 > 1)] = -100
    hu[body & (x**2 + (y - 82) ** 2 < 17**2)] = 350
    for side in (-1, 1):
        lung = ((x - side * 82) / 60) ** 2 + (y / 78) ** 2 + (z / 130) ** 2 <= 1
        hu[lung] = LUNG_HU
    hu[body & (x**2 + (y - 8) ** 2 < 9**2) & (z > 20)] = GAS_HU
    for centre, radius in (((-75, 20, 60), 9), ((80, -10, -50), 8), ((70, 35, 70), 8)):
        hu[(x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 <= radius**2] = 50
    hu[np.broadcast_to((abs(y - 124) < 5) & (abs(x) < 190), hu.shape)] = -150
    return hu
