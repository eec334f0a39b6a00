"""Render Figures 1 to 5 of the paper for one scan."""

from pathlib import Path

from lungline.detection.candidates import read_candidates
from lungline.reports.plotting import save_png
from lungline.reports.scan_figures import Subject, page, render_scan, render_unusable
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.hdf5 import read_volume


@stage
def run(
    output: Path,
    *,
    scan: str,
    volume: Path,
    lungs: Path,
    cache: Path,
    nodules: Path | None = None,
    detected: Path,
    candidates: Path,
    config: Path,
    detector: str,
) -> None:
    """Write the folder OUTPUT: PNG files and a README. A quarantined scan gets its reason instead of pictures.

    NODULES (the mask of `rasterise-nodules`) is `none` for a scan without annotations; DETECTOR is the entry
    of `detectors:` in the saved configuration CONFIG whose U-Net Figure 4 shows.
    """
    header = hdf5.read_header(detected)
    if header.status == "quarantined":
        figures = render_unusable(scan, header.flags)
    else:
        from lungline.detection.unet import describe
        from lungline.storage.saved_config import read_saved_config

        network = read_saved_config(config).detectors[detector].network
        subject = Subject(
            scan,
            ct=read_volume(volume, "ct"),
            lungs=read_volume(lungs, "lungs"),
            mask=read_volume(lungs, "mask"),
            cached=read_volume(cache, "ct"),
            probability=read_volume(detected, "probability"),
            candidates=read_candidates(candidates),
            nodules=None if nodules is None else read_volume(nodules, "nodules"),
        )
        figures = render_scan(subject, describe(network), network.slices)
    for name, figure in figures.items():
        if not isinstance(figure, str):
            save_png(figure, output / f"{name}.png")
    write_checksummed_text(output / "README.md", page(scan, figures, header.flags))
