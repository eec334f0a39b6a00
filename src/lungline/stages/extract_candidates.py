"""Find the strongest nodule candidates of scans (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

from lungline.detection.candidates import RankedBy, extract_candidates, write_candidates
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
    """Read `probability` of DETECTED/{scan}.h5 of each of SCANS, write OUTPUT/{scan}.csv: the COUNT strongest."""
    for scan in scans:
        path, candidates = detected / f"{scan}.h5", []
        if hdf5.read_header(path).status != "quarantined":
            probability = hdf5.read_volume(path, "probability")
            candidates = extract_candidates(probability, threshold=threshold, count=count, rank_by=rank_by, split=split)
        write_candidates(output / f"{scan}.csv", scan, candidates, Origin("extract_candidates", (path,)))
