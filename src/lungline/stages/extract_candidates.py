"""Find the strongest nodule candidates of a scan (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

from lungline.io import hdf5
from lungline.io.seals import Origin
from lungline.nodules.candidates import RankedBy, extract_candidates, write_candidates


def run(
    detected: Path,
    output: Path,
    *,
    scan: str,
    threshold: float = 0.8,
    count: int = 20,
    rank_by: RankedBy = "sum",
    split: bool = False,
) -> None:
    """Read `probability` of DETECTED, write the COUNT strongest clusters as CSV."""
    candidates = []
    if hdf5.read_header(detected).status != "quarantined":
        probability = hdf5.read_volume(detected, "probability")
        candidates = extract_candidates(probability, threshold=threshold, count=count, rank_by=rank_by, split=split)
    write_candidates(output, scan, candidates, Origin("extract_candidates", (detected,)))
