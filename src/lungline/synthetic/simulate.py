"""From a plan to the voxels that the scanner would have stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lungline.imaging.geometry import make_affine
from lungline.imaging.volume import Volume
from lungline.synthetic.cohort import ScanPlan
from lungline.synthetic.phantom import draw_chest
from lungline.synthetic.rendering import make_grid
from lungline.synthetic.seeds import random_stream


def draw_scan(plan: ScanPlan) -> Volume:
    """The CT of one scan: int16 HU (Z, Y, X) in LPS order, -1024..3071, with its world affine."""
    first = [o - b for o, b in zip(plan.origin_xyz_mm, plan.body_xyz_mm, strict=True)]
    grid = make_grid(plan.shape_zyx, plan.spacing_zyx_mm, (first[2], first[1], first[0]))
    rng = random_stream(plan.seed, plan.dataset, plan.index, "drawing")
    hu = draw_chest(grid, plan.anatomy, plan.nodules, rng)
    np.rint(hu, out=hu)
    np.clip(hu, -1024, 3071, out=hu)
    return Volume(hu.astype(np.int16), make_affine(plan.spacing_zyx_mm, plan.origin_xyz_mm))


def round_field_of_view(rows: int, columns: int) -> NDArray[np.bool_]:
    """Mask (rows, columns) of the pixels that the scanner reconstructs: the circle that fits the square."""
    y = np.arange(rows)[:, None] - (rows - 1) / 2
    x = np.arange(columns) - (columns - 1) / 2
    return np.asarray(np.hypot(y, x) <= min(rows, columns) / 2)
