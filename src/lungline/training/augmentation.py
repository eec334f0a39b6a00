"""Augmentation of cubes: flips and quarter rotations, affine transforms, contrast and noise.

A few hundred nodules from three chests are learned by heart within minutes. Other shapes of the same nodules are not.
"""

from itertools import permutations, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_TURN_RAD = 0.35
_ZOOM = 0.18  # of the logarithm
_STRETCH = 0.08  # of the logarithm, along each axis
_SHIFT_VOXELS = 2.0
_CONTRAST, _BRIGHTNESS, _NOISE = 0.1, 0.04, 0.02  # of scaled HU, 0..1
_SURENESS = 0.7  # of the logarithm of the exponent of a probability

#: All symmetries of the cube: an order of the axes (2, 3, 4) and those that are mirrored. The first changes nothing.
SYMMETRIES = [
    (axes, tuple(axis for axis, mirror in zip((2, 3, 4), mirrors, strict=True) if mirror))
    for axes in permutations((2, 3, 4))
    for mirrors in product((False, True), repeat=3)
]


def flip_and_rotate(cubes: NDArray, rng: np.random.Generator) -> NDArray:
    """The cubes (n, C, D, H, W) under one random symmetry of the cube."""
    axes = 2 + rng.permutation(3)
    mirrored = tuple(axis for axis in (2, 3, 4) if rng.integers(2))
    return apply_symmetry(cubes, tuple(axes), mirrored)


def apply_symmetry(cubes: NDArray, axes: tuple[int, ...], mirrored: tuple[int, ...]) -> NDArray:
    """The cubes (n, C, D, H, W) under one symmetry: their axes in another order, then mirrored."""
    return np.ascontiguousarray(np.flip(cubes.transpose(0, 1, *axes), mirrored))


def augment_affine_and_intensity(cubes: NDArray[np.float16], rng: np.random.Generator) -> NDArray[np.float16]:
    """The cubes (n, 2, D, H, W) of scaled HU and nodule probability, each under its own random affine transform,
    contrast and noise.

    The detector's probability is varied, too: it is higher on its training scans than on new ones.
    """
    n = len(cubes)
    theta = torch.from_numpy(np.stack([_matrix(cubes.shape[2:], rng) for _ in range(n)])).float()
    contrast, brightness = (_column(rng.uniform(-width, width, n)) for width in (_CONTRAST, _BRIGHTNESS))
    strength, sureness = _column(rng.uniform(0, _NOISE, n)), _column(np.exp(rng.uniform(-_SURENESS, _SURENESS, n)))
    noise = torch.from_numpy(rng.standard_normal((n, *cubes.shape[2:]), dtype=np.float32))
    grid = functional.affine_grid(theta, list(cubes.shape), align_corners=False)
    seen = functional.grid_sample(torch.from_numpy(cubes).float(), grid, padding_mode="border", align_corners=False)
    hu = seen[:, 0] * (1 + contrast) + brightness + strength * noise
    probability = seen[:, 1].clamp(0, 1) ** sureness
    return torch.stack([hu.clamp(0, 1), probability], dim=1).half().numpy()


def _column(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values).float()[:, None, None, None]


def _matrix(shape_zyx: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    """(3, 4) of one distortion, in the coordinates -1..1 of `affine_grid` (x, y, z)."""
    x, y, z = rng.uniform(-_TURN_RAD, _TURN_RAD, 3)
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    sizes = np.exp(rng.uniform(-_ZOOM, _ZOOM) + rng.uniform(-_STRETCH, _STRETCH, 3))
    shift = rng.uniform(-_SHIFT_VOXELS, _SHIFT_VOXELS, 3) * 2 / np.array(shape_zyx[::-1])
    return np.concatenate([about_z @ about_y @ about_x @ np.diag(sizes), shift[:, None]], axis=1)
