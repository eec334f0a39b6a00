"""Find the strongest nodule candidates of scans, and the voxels of each (paper, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.detection.candidates import Candidate, RankedBy, extract_candidates, write_candidates
from lungline.imaging.volume import Volume
from lungline.runner.stage import Made, ScanFile, scan_stage, stage
from lungline.storage import hdf5


@stage
def run(
    detected: Path,
    output: Path,
    *,
    scans: list[str],
    threshold: float = 0.8,
    count: int = 20,
    rank_by: RankedBy = "sum",
    split: bool = False,
) -> None:
    """Read `probability` of DETECTED/{scan}.h5 of each of SCANS; write OUTPUT/{scan}.csv, the COUNT strongest.

    Beside it OUTPUT/{scan}.h5 holds their label map, `labels`: which voxels each of them has, for all later steps.
    """
    settings = {"threshold": threshold, "count": count, "rank_by": rank_by, "split": split}
    for scan in scans:
        _extract(detected / f"{scan}.h5", output / f"{scan}.h5", scan, settings)


@stage
def _extract(detected: Path, output: Path, scan: str, settings: Mapping[str, Any]) -> None:
    """Label map and table of one scan; of a quarantined one a file without a label map, and an empty table."""
    candidates, labels = list[Candidate](), None
    if hdf5.read_header(detected).status != "quarantined":
        candidates, labels = extract_candidates(hdf5.read_volume(detected, "probability"), **settings)
    _write_labels(detected, output, labels=labels, settings=settings)
    write_candidates(output.with_suffix(".csv"), scan, candidates)


@scan_stage("candidate_labels", unrecorded=("labels", "settings"))
def _write_labels(detected: ScanFile, *, labels: Volume, settings: Mapping[str, Any]) -> Made:
    """Write `labels` (unsigned int), with the flags of the probability that they were found in."""
    field = hdf5.volume_field(labels, "1", "the label of a candidate in its voxels, 0 elsewhere")
    return Made({"labels": field}, parameters=settings)
