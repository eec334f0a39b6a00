"""Write the findings in a DICOM scan as DICOM, for a PACS: segmentation of the findings and structured report.

Both name the patient, as the scan does: they belong into a private folder.
"""

import sys
from pathlib import Path
from typing import Any

from lungline import NOTICE
from lungline.detection.candidates import rank_map, read_candidates
from lungline.errors import LunglineError, Quarantine, place_of
from lungline.names import SEG, SR, WHY_NOT
from lungline.nodules.table import read_nodules
from lungline.privacy.permissions import secret_folder, secret_path, write_secret
from lungline.readers.scan import hash_of_files, raw_files
from lungline.readers.zips import unpacked
from lungline.storage import hdf5
from lungline.storage.results import read_result


def run(
    out: Path,
    *,
    raw: Path,
    nodules: Path,
    labels: Path | None = None,
    candidates: Path | None = None,
    input_sha256: str | None = None,
) -> None:
    """Write OUT/seg.dcm (none where there is no finding) and OUT/sr.dcm; folders of mode 0700, files of mode 0600.

    Of a quarantined scan nothing is said but that, in OUT/why-not.txt. OUT should lie in a private folder.

    RAW is the scan, whose headers are read again: a folder of DICOM files, a DICOM file, either in a zip, or a link to
    one. NODULES is the table (.json) of `describe-nodules`; LABELS and CANDIDATES are label map and table of the
    candidates, where the classifier reads candidates. With INPUT_SHA256 of the raw files that were answered
    (`predictions.csv`), others are refused.
    """
    table = read_result(nodules)
    if table["status"] == "quarantined":
        _write_reason(out, "the scan is quarantined, so there is nothing to say of it.")
        return
    from lungline.pacs.dicom_objects import dicom_objects
    from lungline.readers.dicom_headers import quiet
    from lungline.readers.dicom_source import read_series

    rows, ranks = read_nodules(table), None
    if rows:
        if labels is None or candidates is None:
            raise LunglineError(f"{nodules}: it has candidates; name --labels and --candidates as well.")
        ranks = rank_map(hdf5.read_volume(labels, "labels"), read_candidates(candidates))
    try:
        with unpacked(raw, "dicom") as files, quiet():
            if input_sha256 is not None and hash_of_files(raw_files(files, "dicom")) != input_sha256:
                raise LunglineError("the source's files have changed since it was answered. Answer it again.")
            made = dicom_objects(read_series(files), table, rows, ranks)
            _write(out / SEG, made.seg)
            _write(out / SR, made.sr)
    except LunglineError:
        raise
    except Quarantine as reason:
        raise LunglineError(f"the source cannot be read any more ({reason.flag}). Put its files back.") from None
    except OSError as error:  # its own words name the raw file
        raise LunglineError(f"the source or {out} cannot be used ({error.strerror}).") from None
    except Exception as error:  # headers may hold anything, and the words of an error quote them
        raise LunglineError(f"the headers of the source do not allow it ({place_of(error)}).") from None
    (out / WHY_NOT).unlink(missing_ok=True)


def run_or_write_reason(out: Path, scan: str, **options: Any) -> bool:
    """As `run`; what hinders it is said in one line, here and in OUT/why-not.txt. Whether it was written."""
    try:
        run(out, **options)
        return True
    except LunglineError as reason:
        _write_reason(out, str(reason))
        print(f"{scan}: no DICOM was written: {reason}", file=sys.stderr)
        return False


def is_written(out: Path) -> bool:
    """Whether a folder holds what `run_or_write_reason` writes."""
    return (out / SR).is_file() or (out / WHY_NOT).is_file()


def forget(out: Path) -> None:
    """Remove what was written of an older answer."""
    for name in (SEG, SR, WHY_NOT):
        (out / name).unlink(missing_ok=True)


def copy(made: Path, out: Path) -> None:
    """What `run` wrote to a folder, in another one."""
    _folder(out)
    for path in (made / SEG, made / SR):
        if path.is_file():
            with secret_path(out / path.name) as temporary:
                temporary.write_bytes(path.read_bytes())


def _write_reason(out: Path, reason: str) -> None:
    _folder(out)
    forget(out)
    write_secret(out / WHY_NOT, f"{reason} {NOTICE}\n")


def _folder(out: Path) -> None:
    """The folder and what is missing above it, for their owner alone."""
    for folder in [*(one for one in reversed(out.parents) if not one.exists()), out]:
        secret_folder(folder)


def _write(path: Path, made: Any) -> None:
    """One object; an older one goes where there is none."""
    if made is None:
        path.unlink(missing_ok=True)
    else:
        _folder(path.parent)
        with secret_path(path) as temporary:
            made.save_as(temporary, enforce_file_format=True)
