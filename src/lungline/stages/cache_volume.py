"""Mask the scan for the networks: HU as int16, -1000 outside the lungs, cut to their box."""

from typing import Literal

from lungline.imaging.intensity import bounding_box, mask_outside
from lungline.runner.stage import Made, ScanFile, scan_stage
from lungline.storage import hdf5


@scan_stage("masked_ct_hu", unrecorded=("compression",))  # a detector refuses caches made with other parameters
def run(
    volume: ScanFile,
    lungs: ScanFile,
    *,
    region: Literal["lung_box", "whole"],
    outside_hu: float,
    compression: Literal["blosc", "gzip"],
) -> Made:
    """Read `ct` of VOLUME and `mask` of LUNGS, write `ct` (int16 HU, OUTSIDE_HU outside the mask)."""
    mask, ct = hdf5.read_array(lungs, "mask"), hdf5.read_volume(volume, "ct")
    if region == "lung_box":
        box = bounding_box(mask)
        mask, ct = mask[box], ct.crop(box)
    ct = mask_outside(ct, mask, outside_hu=outside_hu)
    about = f"CT inside the lung mask, {outside_hu} HU outside, {region}"
    return Made({"ct": hdf5.volume_field(ct, "HU", about)}, compression=compression)
