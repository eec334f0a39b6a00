"""Find the strongest nodule candidates of scans, and the voxels of each (paper, section 4.2)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.detection.candidates import Candidate, RankedBy, extract_candidates, write_candidates
from lungline.imaging.volume import Volume
from lungline.runner.stage import Made, ScanFile, scan_stage, stage
from lungline.storage import hdf5


@stage
def run(
    detected: Path, output: Path, *, scans: list[str], threshold: float, count: int, rank_by: RankedBy, split: bool
) -> None:
    """Read `probability` of DETECTED/{scan}.h5 of each of SCANS; write OUTPUT/{scan}.csv, the COUNT strongest.

    Beside it OUTPUT/{scan}.h5 holds their label map, `labels`: which voxels each of them has, for all later steps.
    """
    settings: dict[str, Any] = {"threshold": threshold, "count": count, "rank_by": rank_by, "split": split}

    @stage
    def extract(scan: str) -> None:
        path, found, labels = detected / f"{scan}.h5", list[Candidate](), None
        if hdf5.read_header(path).status != "quarantined":
            found, labels = extract_candidates(hdf5.read_volume(path, "probability"), **settings)
        _write_labels(path, output / f"{scan}.h5", labels=labels, settings=settings)
        write_candidates(output / f"{scan}.csv", scan, found)

    for scan in scans:
        extract(scan)


@scan_stage("candidate_labels", unrecorded=("labels", "settings"))
def _write_labels(detected: ScanFile, *, labels: Volume, settings: Mapping[str, Any]) -> Made:
    """Write `labels` (unsigned int), with the flags of the probability that they were found in."""
    field = hdf5.volume_field(labels, "1", "the label of a candidate in its voxels, 0 elsewhere")
    return Made({"labels": field}, parameters=settings)
