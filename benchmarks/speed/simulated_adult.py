"""What is measured on: an adult chest as a scanner stores it, and everything that follows from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lungline.imaging import geometry
from lungline.imaging.intensity import bounding_box, mask_outside
from lungline.imaging.lungs import add_margin, segment_lungs
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_dicom_series

SPACING_ZYX_MM = (1.25, 0.7, 0.7)
THRESHOLD = 0.8


@dataclass
class SimulatedAdult:
    """A scan at real size and what is made of it, each made once, when it is first asked for."""

    scratch: Path
    pairs: int  # how often each pair of ways is run
    samples: Path | None = None  # real sample data
    shape_zyx: tuple[int, int, int] = (300, 512, 512)
    scale: float = 1.05  # of the synthetic anatomy: the largest whose body fits into the picture
    number: int = 0  # which adult

    def at_size(self, size: float) -> SimulatedAdult:
        """The same, smaller, to try a program out."""
        z, y, x = (round(n * size) for n in self.shape_zyx)
        return replace(self, shape_zyx=(z, y, x), scale=self.scale * size)

    @cached_property
    def plan(self):
        """An adult with the nodules of a LUNA-16 scan, in the middle of the picture."""
        plan = plan_scan("luna16", self.number, 1, self.scale)
        edge = [(n - 1) / 2 * step for n, step in zip(self.shape_zyx, SPACING_ZYX_MM, strict=True)]
        middle = (0.0, 14 * self.scale, plan.anatomy.height_mm / 2)
        origin = tuple(b + m - e for b, m, e in zip(plan.body_xyz_mm, middle, edge[::-1], strict=True))
        return replace(plan, shape_zyx=self.shape_zyx, spacing_zyx_mm=SPACING_ZYX_MM, origin_xyz_mm=origin)

    @cached_property
    def ct(self) -> Volume:
        """int16 HU as scanned: 300 x 512 x 512 voxels of 1.25 x 0.7 x 0.7 mm."""
        return simulate_scan_hu(self.plan)

    @cached_property
    def fine(self) -> Volume:
        """float32 HU at 1 mm: 375 x 358 x 358."""
        return resample(self.ct)

    @cached_property
    def lungs(self) -> NDArray[np.bool_]:
        return segment_lungs(self.fine)[0]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """The lungs and 5 mm around them."""
        return add_margin(self.lungs, self.fine)

    @cached_property
    def box(self) -> tuple[slice, slice, slice]:
        return bounding_box(self.mask)

    @cached_property
    def cached_hu(self) -> NDArray[np.int16]:
        """HU of the lung box at 1 mm, -1000 outside the mask: what is cached of a scan."""
        return np.ascontiguousarray(np.rint(mask_outside(self.fine, self.mask).array[self.box]).astype(np.int16))

    @cached_property
    def nodules(self) -> NDArray[np.bool_]:
        """Balls where the nodules are, at 1 mm."""
        found = np.zeros(self.fine.shape_zyx, dtype=bool)
        for nodule in self.plan.nodules:
            centre = geometry.world_to_voxel(self.fine.affine, self.plan.world_xyz_mm(nodule))
            reach = int(nodule.diameter_mm / 2) + 2
            near = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
            squared = sum((axis - c) ** 2 for axis, c in zip(np.ogrid[near], centre, strict=True))
            found[near] |= squared <= (nodule.diameter_mm / 2) ** 2
        return found

    @cached_property
    def probability(self) -> Volume:
        """A nodule probability with about forty clusters in the lungs, float32 at 1 mm."""
        noise = np.random.default_rng(0).standard_normal(self.fine.shape_zyx, dtype=np.float32)
        smooth = ndimage.gaussian_filter(noise, 2.5)
        return self.fine.with_array(np.clip(smooth / smooth.std() / 4.5, 0, 1).astype(np.float32) * self.mask)

    def dicom(self, *, compressed: bool) -> Path:
        """The scan as a folder of DICOM files, plain or RLE lossless."""
        folder = self.scratch / ("rle" if compressed else "plain")
        if not folder.is_dir():
            write_dicom_series(folder, self.ct, patient="speed", compressed=compressed)
        return folder
