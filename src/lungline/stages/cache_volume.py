"""Cache what the networks read: masked HU, int16, in the lung box."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from lungline.imaging.intensity import bounding_box, mask_outside
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5


def run(
    volume: Path,
    lungs: Path,
    output: Path,
    *,
    region: Literal["lung_box", "whole"] = "lung_box",
    outside_hu: float = -1000.0,
    compression: Literal["blosc", "gzip"] = "blosc",
) -> None:
    """Read `ct` of VOLUME and `mask` of LUNGS, write `ct` (int16 HU, OUTSIDE_HU outside the mask)."""

    def make() -> Made:
        mask, ct = hdf5.read_array(lungs, "mask"), hdf5.read_volume(volume, "ct")
        if region == "lung_box":
            box = bounding_box(mask)
            mask, ct = mask[box], ct.crop(box)
        ct = mask_outside(ct, mask, outside_hu=outside_hu)
        return Made({"ct": hdf5.volume_field(ct, "HU", f"CT inside the lung mask, {outside_hu} HU outside, {region}")})

    run_scan_stage(
        "cache_volume",
        "masked_ct_hu",
        output,
        make,
        scan_files={"volume": volume, "lungs": lungs},
        parameters={"region": region, "outside_hu": outside_hu},  # a detector refuses caches made another way
        compression=compression,
    )
