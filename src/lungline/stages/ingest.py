"""Read a raw scan (DICOM, MetaImage, NIfTI) as HU in LPS order; what cannot be used is quarantined.

The output holds `ct`: int16 HU (Z, Y, X) at the scanner's own spacing. A scan that cannot be used becomes a
file without fields that says why, and the command still ends well.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

from lungline.errors import LunglineError, Quarantine
from lungline.imaging.acquisition import describe_acquisition
from lungline.imaging.chest_gate import check_chest
from lungline.privacy.identity import Identity, identifiers, write_identity
from lungline.readers.scan import (
    Source,
    digests_of_files,
    hash_of_files,
    hash_of_histogram,
    hash_of_hu,
    raw_files,
    read_scan,
)
from lungline.readers.zips import unpacked
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage.hdf5 import Code, volume_field


def run(raw: Path, output: Path, *, source: Source, identity: Path | None = None) -> None:
    """Ingest one scan.

    Parameters
    ----------
    raw : Path
        Folder of DICOM files, .mhd, .mha, .nii or .nii.gz, also in a zip (`study.zip/series`); or a link to one.
    output : Path
        HDF5 file with the field `ct`.
    source : "dicom", "mhd" or "nifti"
    identity : Path or None
        JSON file of hashes by which the patient is recognised in another scan; belongs into a private folder.
    """

    hashes: dict[str, str] = {}
    named: dict[str, tuple[str, ...]] = {}

    def make() -> Made:
        with unpacked(raw, source) as here:
            return make_of(here)

    def make_of(here: Path) -> Made:
        provenance: dict[str, Any] = {}
        digests: tuple[str, ...] = ()
        try:
            files = raw_files(here, source)
            digests = digests_of_files(files)
            hashes["raw_sha256"] = hash_of_files(files)
            provenance = {"raw_sha256": hashes["raw_sha256"], "raw_files": len(files)}
            ct, codes = read_scan(here, source)
            check_chest(ct)
        except Quarantine as reason:  # caught here, so that the hash of the unusable scan is kept
            return Made({}, [Code(reason.code, reason.detail)], provenance, digests)
        except LunglineError:
            raise
        except OSError as error:  # its own words name the raw file
            return Made({}, [Code("Q_UNREADABLE", type(error).__name__)], provenance, digests)
        except Exception as error:  # a mistake of ours; its words may quote the scan
            frame = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
            raise LunglineError(f"{raw}: reading failed ({where}). This is a mistake of lungline: report it.") from None
        hashes.update(hu_sha256=hash_of_hu(ct), histogram_sha256=hash_of_histogram(ct))
        provenance["hu_sha256"] = hashes["hu_sha256"]
        provenance["acquisition"] = describe_acquisition(ct)
        if identity is not None:
            named.update(identifiers(here, source))
        field = volume_field(ct, "HU", "CT as scanned, axes in LPS order, padding at -1024 HU")
        return Made({"ct": field}, codes, provenance, digests)

    header = run_scan_stage("ingest", "ct_hu", output, make, parameters={"source": source})
    if identity is not None:
        usable = header.status != "quarantined"
        marks = {kind: (value,) for kind, value in hashes.items()}
        write_identity(identity, Identity(usable, {**marks, **named}))
