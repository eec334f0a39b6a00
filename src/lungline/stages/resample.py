"""Resample a scan to isotropic voxels by cubic spline (paper, section 3)."""

from __future__ import annotations

from pathlib import Path

from lungline.imaging.resampling import resample
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5


def run(ingested: Path, output: Path, *, spacing_mm: float = 1.0) -> None:
    """Read `ct` of INGESTED (int16 HU, scanner's spacing), write `ct` (float32 HU, exactly SPACING_MM)."""

    def make() -> Made:
        ct = resample(hdf5.read_volume(ingested, "ct"), spacing_mm=spacing_mm)
        return Made({"ct": hdf5.volume_field(ct, "HU", f"CT on an isotropic grid of {spacing_mm} mm")})

    run_scan_stage(
        "resample",
        "ct_hu",
        output,
        make,
        scan_files={"ingested": ingested},
        parameters={"spacing_mm": spacing_mm},
    )
