"""Run the three U-Nets on many scans in one process."""

from __future__ import annotations

from pathlib import Path

from lungline.stages import detect


def run(
    caches: Path,
    output: Path,
    *,
    scans: list[str],
    detector: Path,
    keep_axes: bool = False,
    device: str = "auto",
) -> None:
    """What `detect` does, for CACHES/{scan}.h5 to OUTPUT/{scan}.h5 of each of SCANS, one after the other."""
    for scan in scans:
        name = f"{scan}.h5"
        detect.run(caches / name, output / name, detector=detector, keep_axes=keep_axes, device=device)
