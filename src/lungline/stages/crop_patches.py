"""Crop the two-channel cubes around the candidates of scans (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

from lungline.detection.candidates import read_candidates
from lungline.detection.patches import crop_patches
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field


def run(
    output: Path,
    *,
    scans: list[str],
    caches: Path,
    detected: Path,
    candidates: Path,
    count: int = 20,
    size: int = 32,
) -> None:
    """Crop around the first COUNT of CANDIDATES/{scan}.csv of each of SCANS, write OUTPUT/{scan}.h5.

    HU are those of CACHES/{scan}.h5, the nodule probability that of DETECTED/{scan}.h5.
    """
    for scan in scans:
        name = f"{scan}.h5"
        _crop(caches / name, detected / name, candidates / f"{scan}.csv", output / name, count=count, size=size)


def _crop(cache: Path, detected: Path, candidates: Path, output: Path, *, count: int, size: int) -> None:
    def make() -> Made:
        found = read_candidates(candidates)
        patches = crop_patches(
            hdf5.read_array(cache, "ct"), hdf5.read_array(detected, "probability"), found, count=count, size=size
        )
        cubes = Field(
            patches.cubes, "candidate,channel,z,y,x", "1", "channel 0: scaled HU, channel 1: nodule probability"
        )
        valid = Field(patches.valid, "candidate", "1", "true where the slot holds a candidate")
        centroid = Field(
            patches.centroid_xyz_mm, "candidate,xyz", "mm", "centroid in the scanner's world, LPS; NaN if absent"
        )
        score = Field(patches.score, "candidate", "1", "what the candidates are ranked by, falling; NaN if absent")
        return Made({"patches": cubes, "valid": valid, "centroid_xyz_mm": centroid, "score": score})

    run_scan_stage(
        "crop_patches",
        "patches",
        output,
        make,
        scan_files={"cache": cache, "detected": detected},
        other_files={"candidates": candidates},
        parameters={"count": count, "size": size},
    )
