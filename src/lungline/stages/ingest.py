"""Read a raw scan (DICOM, MetaImage, NIfTI) as HU in LPS order; what cannot be used is quarantined.

The output holds `ct`: int16 HU (Z, Y, X) at the scanner's own spacing. A scan that cannot be used becomes a
file without fields that says why, and the command still ends well.
"""

from __future__ import annotations

from pathlib import Path

from lungline.errors import Quarantine
from lungline.io.hdf5 import Code, volume_field
from lungline.io.images import Source, hash_of_files, raw_files, read_scan
from lungline.preprocess.chest import check_chest
from lungline.stages._scan import Made, run_scan_stage


def run(raw: Path, output: Path, *, source: Source) -> None:
    """Ingest one scan.

    Parameters
    ----------
    raw : Path
        Folder of DICOM files, .mhd, .mha, .nii or .nii.gz; or a link to one.
    output : Path
        HDF5 file with the field `ct`.
    source : "dicom", "mhd" or "nifti"
    """

    def make() -> Made:
        provenance: dict[str, str | int] = {}
        try:
            files = raw_files(raw, source)
            provenance = {"raw_sha256": hash_of_files(files), "raw_files": len(files)}
            ct, codes = read_scan(raw, source)
            check_chest(ct)
        except Quarantine as reason:  # caught here, so that the hash of the unusable scan is kept
            return Made({}, [Code(reason.code, reason.detail)], provenance)
        except OSError as error:  # its own words name the raw file
            return Made({}, [Code("Q_UNREADABLE", type(error).__name__)], provenance)
        field = volume_field(ct, "HU", "CT as scanned, axes in LPS order, padding at -1024 HU")
        return Made({"ct": field}, codes, provenance)

    run_scan_stage("ingest", "ct_hu", output, make, parameters={"source": source})
