"""Crop the two-channel cubes around the candidates of a scan (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

from lungline.io import hdf5
from lungline.io.hdf5 import Field
from lungline.nodules.candidates import read_candidates
from lungline.nodules.patches import crop_patches
from lungline.stages._scan import Made, run_scan_stage


def run(cache: Path, detected: Path, candidates: Path, output: Path, *, count: int = 20, size: int = 32) -> None:
    """Read `ct` of CACHE, `probability` of DETECTED and CANDIDATES, write `patches` and what belongs to each."""

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
