"""Resample a scan to isotropic voxels by cubic spline (paper, section 3)."""

from __future__ import annotations

from pathlib import Path

from lungline.io import hdf5
from lungline.preprocess.resample import resample
from lungline.stages._scan import Made, run_scan_stage


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
