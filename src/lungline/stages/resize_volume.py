"""Resize the lung region of a cached volume to a cube, for classifiers that see it whole (paper, method 1)."""

import numpy as np

from lungline.imaging.intensity import lung_region, scale_hu
from lungline.imaging.resizing import resize
from lungline.runner.stage import Fields, ScanFile, scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field


@scan_stage("resized_volume")
def run(cache: ScanFile, *, size: int) -> Fields:
    """Read `ct` of CACHE, write `volume`: scaled HU of the lung region on SIZE voxels per axis."""
    outside_hu = float(hdf5.read_header(cache).parameters["outside_hu"])
    region = lung_region(hdf5.read_volume(cache, "ct"), outside_hu=outside_hu)
    small = resize(region.with_array(scale_hu(region.array)), size)
    about = "scaled HU 0..1 of the lung region, resized axis by axis with a triangle against aliasing"
    return {"volume": Field(small.array.astype(np.float16), "zyx", "1", about, small.affine)}
