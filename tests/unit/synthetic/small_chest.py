"""A small chest of noise and vessels, and round nodules cut out of another one."""

import numpy as np
from scipy import ndimage

from lungline.imaging import geometry
from lungline.synthetic.blending import SourceNodule
from lungline.synthetic.recipients import Chest

SHAPE = (52, 64, 72)


def small_chest(seed: int, *, noise_hu: float = 30.0, vessels: int = 40, thickness_mm: float = 1.25) -> Chest:
    """Lung of -850 HU with noise and straight vessels in an ellipsoid, soft tissue around it."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij"))
    lungs = np.sum(grid**2, axis=0) < 0.9
    hu = np.where(lungs, -850.0, 40.0)
    for _ in range(vessels):
        start, direction = rng.uniform(-0.8, 0.8, 3), rng.standard_normal(3)
        points = start + np.linspace(0, rng.uniform(0.3, 0.8), 60)[:, None] * direction / np.linalg.norm(direction)
        index = np.rint((points + 1) / 2 * (np.array(SHAPE) - 1)).astype(int)
        index = index[np.all((index >= 0) & (index < SHAPE), axis=1)]
        hu[tuple(index.T)] = 0.0
    hu = ndimage.gaussian_filter(hu, 0.8) + noise_hu * rng.standard_normal(SHAPE)
    affine = geometry.make_affine((1.0, 1.0, 1.0), (-30.0, 12.0, 100.0))
    return Chest(hu.astype(np.float32), lungs, lungs, affine, thickness_mm)


def round_nodule(diameter_mm: float, seed: int = 0, *, name: str = "P_R_1", malignant: int = 1) -> SourceNodule:
    """A ball of soft tissue in noisy lung; its volume ends in z where the ball ends, as those of LIDC-IDRI do."""
    rng = np.random.default_rng(seed)
    shape = (int(diameter_mm), 30, 28)
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in shape), indexing="ij"))
    mask = np.linalg.norm(grid, axis=0) <= diameter_mm / 2
    hu = ndimage.gaussian_filter(np.where(mask, 30.0, -840.0), 0.6) + 30 * rng.standard_normal(shape)
    return SourceNodule(name, name.partition("_R_")[0], malignant, diameter_mm, hu.astype(np.float32), mask, 1.25)
