"""Find the lungs and add a margin around them (paper, section 3)."""

from lungline.imaging.lung_density import measure_lungs
from lungline.imaging.lung_shape import judge_shape, missing_parts
from lungline.imaging.lungs import add_margin, judge, measure_quality, segment_lungs
from lungline.imaging.source_planes import planes_of_grid, ranks_on_planes
from lungline.runner.stage import Made, ScanFile, scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag


@scan_stage("lung_mask")
def run(
    volume: ScanFile,
    *,
    threshold_hu: float,
    margin_mm: float,
    plausible_ml_low: float,
    plausible_ml_high: float,
    given: ScanFile | None = None,
) -> Made:
    """Read `ct` of VOLUME, write `lungs` (filled, no margin) and `mask` (what is searched).

    `mask` is `lungs`, what is missing from them by their shape, and MARGIN_MM around both.

    GIVEN is the file of `read-masks`: its lungs are taken, and none are looked for.

    Lungs outside PLAUSIBLE_ML_LOW..HIGH are used with a warning. The numbers that the warnings rest on are
    stored in the provenance as `quality`, those of the lungs as `lungs` (`imaging/lung_density.py`).
    """
    ct = hdf5.read_volume(volume, "ct")
    if given is None:
        lungs, quality = segment_lungs(ct, threshold_hu=threshold_hu)
    else:
        lungs = ranks_on_planes(hdf5.read_volume(given, "lungs"), planes_of_grid(ct.shape_zyx, ct.affine)) > 0
        quality = measure_quality(ct, lungs, threshold_hu=threshold_hu)
    missing, place = missing_parts(lungs, ct.spacing_zyx_mm)
    warnings = judge(quality, (plausible_ml_low, plausible_ml_high)) + judge_shape(missing, ct.affine)
    if given is not None:
        warnings.append(("W_LUNGS_GIVEN", "the mask is the one that was named"))
    mask = add_margin(lungs | place, ct, margin_mm)
    searched = "Lungs, what is missing from them," if missing else "Lungs"
    fields = {
        "lungs": hdf5.volume_field(ct.with_array(lungs), "1", "Both lungs with all they enclose"),
        "mask": hdf5.volume_field(ct.with_array(mask), "1", f"{searched} and {margin_mm} mm around them"),
    }
    numbers = {**quality.as_json(), "missing_ml": round(sum(part.volume_ml for part in missing), 3)}
    noise_hu = float(hdf5.read_header(volume).provenance.get("acquisition", {}).get("noise_hu", 0.0))
    about = {"quality": numbers, "lungs": measure_lungs(ct, lungs, noise_hu)}
    return Made(fields, [Flag(*warning) for warning in warnings], about)
