"""Write the outlines of the findings and the lungs on the scan's own grid, as NIfTI and NRRD, for other programs."""

from pathlib import Path

import numpy as np

from lungline.detection.candidates import rank_map, read_candidates
from lungline.errors import LunglineError, Quarantine
from lungline.imaging.lungs import number_sides
from lungline.imaging.source_planes import planes_of_grid, ranks_on_planes
from lungline.imaging.volume import Volume
from lungline.nodules.table import read_nodules
from lungline.readers.scan import read_as_stored
from lungline.readers.zips import unpacked
from lungline.scan_formats import Source
from lungline.storage import hdf5
from lungline.storage.nifti_output import write_nifti
from lungline.storage.nrrd_output import write_nrrd
from lungline.storage.results import read_result

IMAGE, NODULES, LUNGS, WRITERS = "image.nii.gz", "nodules", "lungs", {".nii.gz": write_nifti, ".nrrd": write_nrrd}
FILES = tuple(f"{name}{suffix}" for name in (NODULES, LUNGS) for suffix in WRITERS)


def run(
    out: Path,
    *,
    raw: Path,
    source: Source,
    nodules: Path,
    lungs: Path | None = None,
    labels: Path | None = None,
    candidates: Path | None = None,
    image: bool = False,
) -> None:
    """Write OUT/nodules and OUT/lungs, each as .nii.gz and .nrrd; nothing of a quarantined scan.

    A voxel of `nodules` holds the rank of the finding that it belongs to: the outline of the SEG that `write-dicom`
    writes. One of `lungs` holds 1 in the patient's right lung and 2 in the left one. The grid is that of the scan's
    file; of a DICOM series that of its slices (in NIfTI with the rows from back to front, as dcm2niix writes them), or
    the even one that was made of uneven or tilted slices.

    RAW is the scan, read again for its grid, SOURCE its format. NODULES is the table (.json) of `describe-nodules`,
    LUNGS the file of `segment-lungs`; LABELS and CANDIDATES as of `write-dicom`. With IMAGE also OUT/image.nii.gz, HU,
    and nodules as NIfTI alone.
    """
    table = read_result(nodules)
    if table["status"] == "quarantined":
        return
    rows = read_nodules(table)
    if rows and (labels is None or candidates is None):
        raise LunglineError(f"{nodules}: it has candidates; name --labels and --candidates as well.")
    try:
        with unpacked(raw, source) as files:
            ct = read_as_stored(files, source)
    except Quarantine as reason:
        raise LunglineError(f"the scan cannot be read any more ({reason.flag}). Put its files back.") from None
    except OSError as error:  # its own words name the raw file
        raise LunglineError(f"the scan cannot be read any more ({error.strerror}). Put its files back.") from None
    planes = planes_of_grid(ct.shape_zyx, ct.affine)
    marked = {NODULES: np.zeros(ct.shape_zyx, dtype=np.uint8)}
    if rows and labels and candidates:
        ranks = rank_map(hdf5.read_volume(labels, "labels"), read_candidates(candidates))
        marked[NODULES] = ranks_on_planes(ranks, planes, [row.rank for row in rows if row.finding])
    if lungs is not None:
        found = hdf5.read_volume(lungs, "lungs")
        marked[LUNGS] = ranks_on_planes(found.with_array(number_sides(found.array)), planes)
    out.mkdir(parents=True, exist_ok=True)
    for name, array in marked.items():
        for suffix, write in WRITERS.items():
            if image and suffix != ".nii.gz":
                continue
            write(_stored(ct.with_array(array), source, suffix), out / f"{name}{suffix}")
    if image:
        write_nifti(_stored(ct, source, ".nii.gz"), out / IMAGE)


def _stored(volume: Volume, source: Source, suffix: str) -> Volume:
    """The volume as a file of this kind orders its rows: of DICOM in NIfTI reversed, as dcm2niix does."""
    return volume.flipped(1) if source == "dicom" and suffix == ".nii.gz" else volume


def is_written(out: Path) -> bool:
    """Whether a folder holds what `run` writes of a scan that was searched."""
    return all((out / name).is_file() for name in FILES)


def forget(out: Path) -> None:
    """Remove what was written of an older answer."""
    for name in FILES:
        (out / name).unlink(missing_ok=True)
