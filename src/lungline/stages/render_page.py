"""Write the page of one scan: a self-contained HTML file with its score, a viewer and the nodule table."""

from pathlib import Path

from lungline.nodules.table import read_nodules
from lungline.reports.nodule_page import nodule_page
from lungline.reports.packed import pack
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.results import read_result


@stage
def run(output: Path, *, nodules: Path, volume: Path, lungs: Path, detected: Path | None = None) -> None:
    """Write OUTPUT (.html) from the table of `describe-nodules`, the resampled scan and its lung mask.

    DETECTED adds the probability of a nodule. The page asks no server for anything and is at most about 10 MB.
    """
    table = read_result(nodules)
    packed = None
    if table["status"] != "quarantined":
        probability = None if detected is None else hdf5.read_volume(detected, "probability")
        with hdf5.volume_on_disk(volume, "ct") as ct:
            packed = pack(ct, hdf5.read_volume(lungs, "lungs"), probability, read_nodules(table))
    write_checksummed_text(output, nodule_page(table, packed))
