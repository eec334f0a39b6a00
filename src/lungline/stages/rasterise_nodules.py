"""Rasterise the annotated nodules of a scan on the grid that the networks read: spheres, or their segmentations."""

from pathlib import Path

from lungline.nodules.annotations import nodules_outside, rasterise_spheres, read_annotations
from lungline.runner.stage import InputFile, Made, ScanFile, scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Flag


@scan_stage("nodule_mask")
def run(cache: ScanFile, annotations: Path, *, scan: str, segmentations: InputFile | None = None) -> Made:
    """Read the grid of CACHE and the rows of ANNOTATIONS for SCAN, write `nodules` (bool).

    SEGMENTATIONS holds `nodules` on the resampled scan's grid (`implant_nodules`): they are taken instead of spheres.
    """
    nodules = [nodule for nodule in read_annotations(annotations) if nodule.scan == scan]
    shape, affine = hdf5.read_grid(cache, "ct")
    if segmentations is None:
        mask = rasterise_spheres(shape, affine, nodules)
    else:
        mask = hdf5.read_volume(segmentations, "nodules").part(shape, affine).array > 0
    lines = [nodule.line for nodule in nodules_outside(shape, affine, nodules)]
    found = f"{len(lines)} of {len(nodules)}: line {', '.join(map(str, lines))} of the annotations"
    return Made(
        {"nodules": hdf5.Field(mask, "zyx", "1", "true inside an annotated nodule", affine)},
        [Flag("W_NODULE_OUTSIDE", found)] if lines else [],
        parameters={"nodules_xyz_mm_diameter_mm": [[*n.centre_xyz_mm, n.diameter_mm] for n in nodules]},
    )
