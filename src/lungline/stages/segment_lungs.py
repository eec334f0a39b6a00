"""Find the lungs and add a margin around them (paper, section 3)."""

from __future__ import annotations

from pathlib import Path

from lungline.imaging.lungs import MARGIN_MM, PLAUSIBLE_ML, THRESHOLD_HU, add_margin, judge, segment_lungs
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Code


def run(
    volume: Path,
    output: Path,
    *,
    threshold_hu: float = THRESHOLD_HU,
    margin_mm: float = MARGIN_MM,
    plausible_ml_low: float = PLAUSIBLE_ML[0],
    plausible_ml_high: float = PLAUSIBLE_ML[1],
) -> None:
    """Read `ct` of VOLUME, write `lungs` (filled, no margin) and `mask` (`lungs` and MARGIN_MM around them).

    Lungs outside PLAUSIBLE_ML_LOW..HIGH are used with a warning. The numbers that the warnings rest on are
    stored in the provenance as `quality`.
    """

    def make() -> Made:
        ct = hdf5.read_volume(volume, "ct")
        lungs, quality = segment_lungs(ct, threshold_hu=threshold_hu)
        warnings = judge(quality, (plausible_ml_low, plausible_ml_high))
        mask = add_margin(lungs, ct, margin_mm)
        fields = {
            "lungs": hdf5.volume_field(ct.with_array(lungs), "1", "Both lungs with all they enclose"),
            "mask": hdf5.volume_field(ct.with_array(mask), "1", f"Lungs and {margin_mm} mm around them"),
        }
        return Made(fields, [Code(*warning) for warning in warnings], {"quality": quality.as_json()})

    run_scan_stage(
        "segment_lungs",
        "lung_mask",
        output,
        make,
        scan_files={"volume": volume},
        parameters={
            "threshold_hu": threshold_hu,
            "margin_mm": margin_mm,
            "plausible_ml_low": plausible_ml_low,
            "plausible_ml_high": plausible_ml_high,
        },
    )
