"""Read masks of lungs and lobes by another program, and check that they are of this scan."""

from pathlib import Path

import numpy as np

from lungline.errors import LunglineError
from lungline.imaging.given_masks import What, on_the_grid, refuse_misplaced, sides_or_lobes
from lungline.imaging.lungs import LEFT, RIGHT
from lungline.imaging.volume import Volume
from lungline.readers.label_maps import read_label_map
from lungline.runner.stage import Made, ScanFile, scan_stage
from lungline.storage import hdf5
from lungline.storage.checksums import sha256

_LEFT_RIGHT: dict[What, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "lungs": ((LEFT,), (RIGHT,)),
    "lobes": ((1, 2), (3, 4, 5)),
}


@scan_stage("given_masks")
def run(ingested: ScanFile, *, lungs: Path | None = None, lobes: Path | None = None) -> Made:
    """Read label maps LUNGS and LOBES (NIfTI, MetaImage, NRRD, DICOM SEG) on the grid of `ct` of INGESTED.

    Writes `lungs` (1 right, 2 left, 3 not parted; without LUNGS all lobes) and, with LOBES, `lobes` (1 to 5: left
    upper, left lower, right upper, right middle, right lower). Labels of lungmask and of TotalSegmentator are known.
    """
    if lungs is None and lobes is None:
        raise LunglineError("name --lungs, --lobes, or both.")
    ct = hdf5.read_volume(ingested, "ct")
    files: dict[What, Path | None] = {"lungs": lungs, "lobes": lobes}
    found = {what: _read(what, file, ct) for what, file in files.items() if file is not None}
    about = {f"{what}_sha256": sha256(file) for what, file in files.items() if file is not None}
    if lungs is None:
        found["lungs"] = np.array([0, LEFT, LEFT, RIGHT, RIGHT, RIGHT], np.uint8)[found["lobes"]]
    words = {"lungs": "1 right, 2 left, 3 not parted", "lobes": "1 to 5: lobes as lungline.imaging.given_masks says"}
    on_scan = {str(what): ct.with_array(array) for what, array in found.items()}
    fields = {what: hdf5.volume_field(volume, "1", words[what]) for what, volume in on_scan.items()}
    return Made(fields, provenance=about, parameters={})


def _read(what: What, path: Path, ct: Volume) -> np.ndarray:
    """The checked numbers of one file on the grid of the scan; errors say which of the two it is, and not its name."""
    try:
        given = read_label_map(path)
        on_grid = on_the_grid(given.volume, ct.shape_zyx, ct.affine, is_part=given.is_part)
        numbers = sides_or_lobes(on_grid.array, what)
        refuse_misplaced(numbers, ct, *_LEFT_RIGHT[what])
    except LunglineError as error:
        raise LunglineError(f"mask of the {what}: {error}") from None
    return numbers
