"""Collect `lungs.csv`: volume, mass and emphysema of the lungs of every scan that gets an answer."""

from pathlib import Path

from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import check
from lungline.storage.lung_table import write_lung_table
from lungline.storage.scan_rows import read_manifest


@stage
def run(output: Path, *, manifest: Path, lungs: Path) -> None:
    """Write a row for each scan of MANIFEST with a file LUNGS/{scan}.h5 of `segment-lungs`."""
    files = {row.scan: lungs / f"{row.scan}.h5" for row in read_manifest(manifest)}
    present = {scan: path for scan, path in files.items() if path.is_file()}
    for path in present.values():
        check(path)
    write_lung_table(
        output, {scan: hdf5.read_header(path).provenance.get("lungs", {}) for scan, path in present.items()}
    )
