"""Draw nodules, scars and vessel junctions into a chest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungline.synthetic.phantom_nodules import Nodule, Scar
from lungline.synthetic.rendering import Array, Distance, Grid, ball_distance, ellipsoid_distance, paint, paint_capsule
from lungline.synthetic.seeds import random_stream

SOLID_HU = (15.0, 55.0)
CALCIFIED_HU = (300.0, 800.0)
GROUND_GLASS_HU = (-500.0, -350.0)
#: Width of the hazy border of a solid malignant nodule, and how much fainter than ground glass it is.
RIM_MM = (2.0, 3.5)
RIM_OVER_GLASS_HU = -50.0


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


def paint_scar(volume_hu: Array, grid: Grid, scar: Scar) -> None:
    """Draw one strand or plate in place."""
    reach = np.abs(scar.frame.T) @ scar.half_axes_mm + 1
    shape = ellipsoid_distance(scar.centre_xyz_mm, scar.half_axes_mm, scar.frame)
    paint(volume_hu, grid, scar.centre_xyz_mm - reach, scar.centre_xyz_mm + reach, shape, scar.hu)


def _random_frame(rng: np.random.Generator) -> NDArray[np.float64]:
    return np.asarray(np.linalg.qr(rng.standard_normal((3, 3)))[0])


def _spread_directions(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Unit vectors (count, 3) spread evenly over the sphere, turned at random and shaken a little."""
    k = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * k / count), np.pi * (1 + 5**0.5) * k
    even = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1)
    shaken = even @ _random_frame(rng).T + 0.18 * rng.standard_normal((count, 3))
    return np.asarray(shaken / np.linalg.norm(shaken, axis=1, keepdims=True))
