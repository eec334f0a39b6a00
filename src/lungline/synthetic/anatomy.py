"""The shape of one synthetic chest: signed distances in mm, negative inside.

The body's own frame is LPS like the scanner's (x to the patient's left, y to the back, z to the head), with
x = y = 0 on the body's axis and z = 0 at the lower end. Every length below is written in life size; `scale`
shrinks the whole chest. Distances are approximate: right near the surface, which is where they are used.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Points = Array | np.floating | float

HEIGHT_MM = 222.0
SPINE_XY_MM = (0.0, 66.0)
SPINE_RADIUS_MM = 21.0
SIDES = ("right", "left")


@dataclass(frozen=True)
class Anatomy:
    """One chest. Its lengths are those of life, in mm; `scale` 1 is life size."""

    scale: float
    body_mm: float  # half width of the body
    depth_ratio: float  # depth of the body over its width
    fat_mm: float  # thickness of the fat under the skin
    lung_width_mm: tuple[float, float]  # half width of the lung, right and left
    dome_mm: tuple[float, float]  # height of the diaphragm's dome, right and left
    heart_mm: float  # half width
    contrast_hu: float  # of the blood: contrast was given to some patients
    lung_hu: float  # mean of the parenchyma
    gas_mm: float  # radius of the stomach's gas bubble, 0 for none

    @property
    def height_mm(self) -> float:
        return HEIGHT_MM * self.scale

    def lung_distance(self, side: str, x: Array, y: Array, z: Array) -> Array:
        """Signed distance (mm) to the surface of one lung, at broadcastable points of the body's frame in mm."""
        s = np.float32(1 / self.scale)
        x, y, z = x * s, y * s, z * s
        k = SIDES.index(side)
        sign = (-1.0, 1.0)[k]
        outwards = x * sign  # the right lung mirrored, so that both lie at positive values
        half_x = self.lung_width_mm[k]
        rise = np.clip((z - 110.0) / (204.0 - 110.0), 0, 1.05)
        taper = np.sqrt(np.maximum(1 - rise**2.6, 1e-3)) + np.minimum(0, 1 - rise)  # narrows to the apex
        centre = 66.0 - 12.0 * rise
        rho = (np.abs((outwards - centre) / half_x) ** 2.6 + np.abs((y - 5.0) / 84.0) ** 2.6) ** (1 / 2.6)
        distance = (rho - taper) * half_x
        cavity = np.hypot(outwards / 128.0, (y - 4.0) / 88.0)
        distance = np.maximum(distance, (cavity - 1) * 100.0)
        distance = np.maximum(distance, 14.0 + 0.00012 * (z - 110.0) ** 2 - outwards)  # the mediastinum
        spine = SPINE_RADIUS_MM + 9.0 - np.hypot(x - SPINE_XY_MM[0], y - SPINE_XY_MM[1])
        distance = np.maximum(distance, spine)
        distance = np.maximum(distance, 4.0 - self._heart_life(x, y, z))
        distance = np.maximum(distance, 0.85 * (self._dome_life(k, outwards, y) - z))
        return np.asarray(distance * np.float32(self.scale), dtype=np.float32)

    def heart_distance(self, x: Array, y: Array, z: Array) -> Array:
        """Signed distance (mm) to the heart's surface."""
        s = np.float32(1 / self.scale)
        return np.asarray(self._heart_life(x * s, y * s, z * s) * self.scale, dtype=np.float32)

    def diaphragm_height(self, side: str, x: Points, y: Points) -> Array:
        """Height z (mm) of the diaphragm under one lung, at points of the body's frame in mm."""
        k = SIDES.index(side)
        s = np.float32(1 / self.scale)
        return np.asarray(self._dome_life(k, x * s * (-1.0, 1.0)[k], y * s) * self.scale, dtype=np.float32)

    def _heart_life(self, x: Array, y: Array, z: Array) -> Array:
        w = self.heart_mm
        rho = np.sqrt(((x - 16) / w) ** 2 + ((y + 30) / (0.8 * w)) ** 2 + ((z - 88) / (0.95 * w)) ** 2)
        return np.asarray((rho - 1) * 0.85 * w)

    def _dome_life(self, k: int, outwards: Points, y: Points) -> Array:
        edge = ((outwards - 62.0) / 66.0) ** 2 + ((y - 0.0) / 86.0) ** 2
        return np.asarray(14.0 + self.dome_mm[k] * np.maximum(1 - edge, -0.1) - 0.08 * y)

    def lung_depth(self, side: str, points_xyz_mm: NDArray[np.float64]) -> NDArray[np.float64]:
        """Depth (N,) below the surface of one lung in mm, negative outside, at points (N, 3)."""
        step = 0.5 * self.scale
        shifts = np.concatenate([np.zeros((1, 3)), step * np.eye(3), -step * np.eye(3)])
        x, y, z = (points_xyz_mm[:, None, :] + shifts).transpose(2, 0, 1)
        d = self.lung_distance(side, x, y, z).astype(np.float64)
        gradient = (d[:, 1:4] - d[:, 4:7]) / (2 * step)
        return np.asarray(-d[:, 0] / np.maximum(np.linalg.norm(gradient, axis=1), 0.3))

    def hilum_xyz_mm(self, side: str) -> NDArray[np.float64]:
        """Where vessels and airways enter one lung."""
        return np.array([(-30.0, 34.0)[SIDES.index(side)], 16.0, 116.0]) * self.scale

    def lung_box_mm(self, side: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest corner (x, y, z) of a box that holds one lung."""
        x = (-130.0, -10.0) if side == "right" else (10.0, 130.0)
        return np.array([x[0], -88, 0]) * self.scale, np.array([x[1], 96, 210]) * self.scale

    def points_in_lung_box(self, rng: np.random.Generator, side: str, count: int) -> NDArray[np.float64]:
        """Points (count, 3) at random in that box."""
        low, high = self.lung_box_mm(side)
        return np.asarray(low + rng.random((count, 3)) * (high - low))


def sample_anatomy(rng: np.random.Generator, scale: float) -> Anatomy:
    """A chest drawn at random; the right lung is wider, the left one makes room for the heart."""
    right = rng.uniform(57, 61)
    dome = rng.uniform(40, 54)
    return Anatomy(
        scale=scale,
        body_mm=rng.uniform(160, 168),
        depth_ratio=rng.uniform(0.68, 0.74),
        fat_mm=rng.uniform(7, 14),
        lung_width_mm=(right, right - rng.uniform(3, 7)),
        dome_mm=(dome, dome - rng.uniform(6, 14)),
        heart_mm=rng.uniform(46, 54),
        contrast_hu=float(rng.choice([38.0, 38.0, 180.0])),
        lung_hu=rng.uniform(-870, -835),
        gas_mm=float(rng.uniform(10, 17) if rng.random() < 0.5 else 0.0),
    )
