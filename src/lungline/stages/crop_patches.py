"""Crop the two-channel cubes around the candidates of scans (paper, section 4.2), and measure each candidate once."""

from __future__ import annotations

from dataclasses import astuple, fields
from pathlib import Path

import numpy as np

from lungline.detection.candidates import read_candidates
from lungline.detection.patches import crop_patches
from lungline.nodules.measurements import Measurements, measure_candidates
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field

_COLUMNS = [field.name for field in fields(Measurements)]


def run(
    output: Path,
    *,
    scans: list[str],
    volumes: Path,
    caches: Path,
    detected: Path,
    candidates: Path,
    labels: Path,
    count: int = 20,
    size: int = 32,
) -> None:
    """Crop around the first COUNT of CANDIDATES/{scan}.csv of each of SCANS, write OUTPUT/{scan}.h5.

    HU are those of CACHES/{scan}.h5, the nodule probability that of DETECTED/{scan}.h5. All candidates of the table
    are measured: the HU of VOLUMES/{scan}.h5, which nothing masks, over their voxels in LABELS/{scan}.h5.
    """
    for scan in scans:
        files = {"volume": volumes, "cache": caches, "detected": detected, "labels": labels}
        _crop(
            {name: folder / f"{scan}.h5" for name, folder in files.items()},
            candidates / f"{scan}.csv",
            output / f"{scan}.h5",
            count=count,
            size=size,
        )


def _crop(files: dict[str, Path], candidates: Path, output: Path, *, count: int, size: int) -> None:
    def make() -> Made:
        found = read_candidates(candidates)
        patches = crop_patches(
            hdf5.read_array(files["cache"], "ct"),
            hdf5.read_array(files["detected"], "probability"),
            found,
            count=count,
            size=size,
        )
        cubes = Field(
            patches.cubes, "candidate,channel,z,y,x", "1", "channel 0: scaled HU, channel 1: nodule probability"
        )
        valid = Field(patches.valid, "candidate", "1", "true where the slot holds a candidate")
        centroid = Field(
            patches.centroid_xyz_mm, "candidate,xyz", "mm", "centroid in the scanner's world, LPS; NaN if absent"
        )
        score = Field(patches.score, "candidate", "1", "what the candidates are ranked by, falling; NaN if absent")
        labels = hdf5.read_volume(files["labels"], "labels")
        ct = hdf5.read_volume(files["volume"], "ct").part(labels.shape_zyx, labels.affine)
        rows = [astuple(one) for one in measure_candidates(ct, labels.array, [c.label for c in found])]
        measured = Field(
            np.array(rows, dtype=np.float64).reshape(len(rows), len(_COLUMNS)),
            "candidate,measurement",
            "1",
            f"{', '.join(_COLUMNS)} of every candidate of the table, by rank",
        )
        return Made(
            {"patches": cubes, "valid": valid, "centroid_xyz_mm": centroid, "score": score, "measurements": measured}
        )

    run_scan_stage(
        "crop_patches",
        "patches",
        output,
        make,
        scan_files=files,
        other_files={"candidates": candidates},
        parameters={"count": count, "size": size},
    )
