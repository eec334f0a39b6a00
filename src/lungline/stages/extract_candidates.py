"""Find the strongest nodule candidates of scans, and the voxels of each (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

from lungline.detection.candidates import Candidate, RankedBy, extract_candidates, write_candidates
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5
from lungline.storage.checksums import Origin


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
        path = detected / f"{scan}.h5"
        candidates: list[Candidate] = []

        def make(path: Path = path, candidates: list[Candidate] = candidates) -> Made:
            found, labels = extract_candidates(hdf5.read_volume(path, "probability"), **settings)  # type: ignore[arg-type]
            candidates += found
            return Made({"labels": hdf5.volume_field(labels, "1", "the candidate's label in its voxels, 0 elsewhere")})

        run_scan_stage(
            "extract_candidates",
            "candidate_labels",
            output / f"{scan}.h5",
            make,
            scan_files={"detected": path},
            parameters=settings,
        )
        write_candidates(output / f"{scan}.csv", scan, candidates, Origin("extract_candidates", (path,)))
