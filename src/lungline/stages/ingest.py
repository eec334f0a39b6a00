"""Read a raw scan (DICOM, MetaImage, NIfTI) as HU in LPS order; what cannot be used is quarantined.

The output holds `ct`: int16 HU (Z, Y, X) at the scanner's own spacing. A scan that cannot be used becomes a
file without fields that says why, and the command still ends well.
"""

from pathlib import Path
from typing import Any

from lungline.errors import LunglineError, Quarantine, place_of
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
from lungline.runner.stage import Made, scan_stage, stage
from lungline.storage.hdf5 import Flag, volume_field


@stage
def run(raw: Path, output: Path, *, source: Source, identity: Path | None = None) -> None:
    """Ingest one scan: write `ct` of RAW to OUTPUT (HDF5).

    RAW is a folder of DICOM files, .mhd, .mha, .nii or .nii.gz, also in a zip (`study.zip/series`), or a link to one;
    SOURCE says which: dicom, mhd or nifti.
    IDENTITY gets hashes by which the patient is recognised in another scan (JSON); belongs into a private folder.
    """
    fingerprints: dict[str, tuple[str, ...]] | None = None if identity is None else {}
    header = _ingest(raw, output, source=source, fingerprints=fingerprints)
    if identity is not None and fingerprints is not None:
        hashes = {kind: (header.provenance[kind],) for kind in ("raw_sha256", "hu_sha256") if kind in header.provenance}
        write_identity(identity, Identity(header.status != "quarantined", {**hashes, **fingerprints}))


@scan_stage("ct_hu", unrecorded=("fingerprints",))
def _ingest(raw: Path, *, source: Source, fingerprints: dict[str, tuple[str, ...]] | None) -> Made:
    """Make `ct` of a scan; where fingerprints are wanted, add those that its provenance does not hold."""
    with unpacked(raw, source) as here:
        provenance: dict[str, Any] = {}
        digests: tuple[str, ...] = ()
        try:
            files = raw_files(here, source)
            digests = digests_of_files(files)
            provenance = {"raw_sha256": hash_of_files(files), "raw_files": len(files)}
            ct, flags = read_scan(here, source)
            check_chest(ct)
        except Quarantine as reason:  # caught here, so that the hash of the unusable scan is kept
            return Made({}, [Flag(reason.flag, reason.detail)], provenance, raw=digests)
        except LunglineError:
            raise
        except OSError as error:  # its own words name the raw file
            return Made({}, [Flag("Q_UNREADABLE", type(error).__name__)], provenance, raw=digests)
        except Exception as error:  # a mistake of ours; its words may quote the scan
            found = f"{raw}: reading failed ({place_of(error)})"
            raise LunglineError(f"{found}. This is a mistake of lungline: report it.") from None
        provenance["hu_sha256"] = hash_of_hu(ct)
        provenance["acquisition"] = describe_acquisition(ct)
        if fingerprints is not None:
            fingerprints.update(histogram_sha256=(hash_of_histogram(ct),), **identifiers(here, source))
        field = volume_field(ct, "HU", "CT as scanned, axes in LPS order, padding at -1024 HU")
        return Made({"ct": field}, flags, provenance, raw=digests)
