"""Resample a scan to isotropic voxels by cubic spline (paper, section 3)."""

from lungline.imaging.resampling import resample
from lungline.runner.stage import Fields, ScanFile, scan_stage
from lungline.storage import hdf5


@scan_stage("ct_hu")
def run(ingested: ScanFile, *, spacing_mm: float) -> Fields:
    """Read `ct` of INGESTED (int16 HU, scanner's spacing), write `ct` (float32 HU, exactly SPACING_MM)."""
    ct = resample(hdf5.read_volume(ingested, "ct"), spacing_mm=spacing_mm)
    return {"ct": hdf5.volume_field(ct, "HU", f"CT on an isotropic grid of {spacing_mm} mm")}
