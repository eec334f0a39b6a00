"""List the scans of a folder (LUNA16, DSB17, or any) in manifest.csv, and where they lie in private/.

A second call with another folder adds its scans; a second call with the same folder brings its scans up to date.
"""

import sys
from pathlib import Path
from typing import Literal

from lungline.errors import LunglineError
from lungline.privacy.scan_list import list_plain_folder, listed_before, say_what_was_seen, write_scan_list
from lungline.readers.listing import list_dsb17, list_luna16
from lungline.readers.zips import place_in_zip
from lungline.runner.locks import LISTING, hold


def run(
    kind: Literal["luna16", "dsb17", "folder"],
    folder: Path,
    out: Path,
    *,
    labels: Path | None = None,
    only: tuple[str, ...] = (),
) -> None:
    """Write OUT/manifest.csv, OUT/input_warnings.csv, OUT/private/map.csv and one link per scan in OUT/private/raw.

    KIND says how FOLDER is laid out: luna16, dsb17 or folder. In a plain folder, each folder with DICOM files and each
    .mhd, .mha, .nii, .nii.gz, .hdr with .img is a scan, and gets a pseudonym, also in a zip; FOLDER may be one such
    file. The last line says what was seen, and what was passed over, by kind. LABELS of a plain folder is a table
    `id,cancer`. With ONLY, scans of other names are passed over.
    """
    if labels is not None and kind != "folder":
        raise LunglineError(f"--labels is for a plain folder; {kind} brings its own.")
    if not folder.is_dir() and not (kind == "folder" and (folder.is_file() or place_in_zip(folder))):
        raise LunglineError(f"{folder}: expected a folder of scans. There is none.")
    with hold(out, LISTING):
        _list(kind, folder.absolute(), out, labels, only)


def _list(kind: str, folder: Path, out: Path, labels: Path | None, only: tuple[str, ...]) -> None:
    if kind == "folder":
        listing = list_plain_folder(folder, out, labels)
    else:
        listing = list_luna16(folder) if kind == "luna16" else list_dsb17(folder)
    found = {item.row.scan for item in listing.scans if not only or item.row.scan in only}
    before = listed_before(out)
    if strangers := {scan for scan, (row, _) in before.items() if row.dataset != kind} & found:
        raise LunglineError(
            f"{folder}: {len(strangers)} scans stand in {out / 'manifest.csv'} as scans of another data set."
        )
    gone = {
        scan
        for scan, (row, place) in before.items()
        if row.dataset == kind and scan not in found and (place or out).is_relative_to(folder)
    }
    others = [row for scan, (row, _) in before.items() if scan not in found and scan not in gone]
    now = write_scan_list(out, [listing], only=found.__contains__, keep=others, tables=listing.tables)
    labelled = sum(row.label is not None for row in now)
    summary = f"{len(now)} scans of {kind} ({labelled} with a label), {len(gone)} gone, {len(others)} others kept"
    print(f"{out / 'manifest.csv'}: {summary}", file=sys.stderr)  # stdout may belong to a workflow that lists scans
    say_what_was_seen(listing)
