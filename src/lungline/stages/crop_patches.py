"""Crop the two-channel cubes around the candidates of scans (paper, section 4.2), and measure each candidate."""

from pathlib import Path

import numpy as np

from lungline.detection.candidates import crop_patches, read_candidates
from lungline.nodules.measurements import KEPT, measure_candidates
from lungline.runner.stage import Fields, InputFile, ScanFile, scan_stage, stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field


@stage
def run(
    output: Path,
    *,
    scans: list[str],
    caches: Path,
    detected: Path,
    candidates: Path,
    labels: Path,
    count: int,
    size: int,
) -> None:
    """Crop around the first COUNT of CANDIDATES/{scan}.csv of each of SCANS, write OUTPUT/{scan}.h5.

    HU are those of CACHES/{scan}.h5, the nodule probability that of DETECTED/{scan}.h5. All candidates of the table
    are measured for the classifier's hand-crafted features: the same HU over their voxels in LABELS/{scan}.h5.
    """
    for scan in scans:
        of_scan = (folder / f"{scan}.h5" for folder in (caches, detected, labels))
        _crop(*of_scan, candidates / f"{scan}.csv", output / f"{scan}.h5", count=count, size=size)


@scan_stage("patches")
def _crop(
    cache: ScanFile,
    detected: ScanFile,
    labels: ScanFile,
    candidates: InputFile,
    *,
    count: int,
    size: int,
) -> Fields:
    """Write the cubes of one scan, and the measurements of all its candidates."""
    found, probability = read_candidates(candidates), hdf5.read_array(detected, "probability")
    ct = hdf5.read_volume(cache, "ct")
    patches = crop_patches(ct.array, probability, found, count=count, size=size)
    wanted = [candidate.label for candidate in found]
    of_each = measure_candidates(ct, hdf5.read_array(labels, "labels"), wanted)
    rows = [[getattr(one, name) for name in KEPT] for one in of_each]
    measured = np.array(rows, dtype=np.float64).reshape(len(rows), len(KEPT))
    cubes = "channel 0: scaled HU, channel 1: nodule probability"
    centroid = "centroid in the scanner's world, LPS; NaN if absent"
    score = "what the candidates are ranked by, falling; NaN if absent"
    about = f"{', '.join(KEPT)} of every candidate of the table, by rank"
    return {
        "patches": Field(patches.cubes, "candidate,channel,z,y,x", "1", cubes),
        "valid": Field(patches.valid, "candidate", "1", "true where the slot holds a candidate"),
        "centroid_xyz_mm": Field(patches.centroid_xyz_mm, "candidate,xyz", "mm", centroid),
        "score": Field(patches.score, "candidate", "1", score),
        "measurements": Field(measured, "candidate,measurement", "1", about),
    }
