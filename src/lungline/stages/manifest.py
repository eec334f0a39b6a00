"""List the scans of a folder (LUNA16, DSB17, or any) in manifest.csv, and where they lie in private/.

A second call with another folder adds its scans; a second call with the same folder brings its scans up to date.
"""

import sys
from pathlib import Path
from typing import Literal

from lungline.errors import LunglineError
from lungline.privacy.pseudonyms import pseudonym_key, read_map, remember
from lungline.readers.listing import list_dsb17, list_folder, list_luna16, read_labels
from lungline.readers.zips import place_in_zip
from lungline.storage.scan_rows import read_manifest, write_manifest
from lungline.storage.tables import log_notes, replace_notes


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
    .mhd, .mha, .nii, .nii.gz is a scan, and gets a pseudonym, also in a zip; FOLDER may be one such file. LABELS of a
    plain folder is a table `id,cancer`. With ONLY, scans of other names are passed over.
    """
    if labels is not None and kind != "folder":
        raise LunglineError(f"--labels is for a plain folder; {kind} brings its own.")
    if not folder.is_dir() and not (kind == "folder" and (folder.is_file() or place_in_zip(folder))):
        raise LunglineError(f"{folder}: expected a folder of scans. There is none.")
    folder, private, manifest = folder.absolute(), out / "private", out / "manifest.csv"
    if kind == "folder":
        listing = list_folder(folder, pseudonym_key(private), read_labels(labels) if labels else None)
    else:
        listing = list_luna16(folder) if kind == "luna16" else list_dsb17(folder)
    found = [item for item in listing.scans if not only or item.row.scan in only]
    before = read_manifest(manifest) if manifest.is_file() else []
    if strangers := {row.scan for row in before if row.dataset != kind} & {item.row.scan for item in found}:
        raise LunglineError(f"{folder}: {len(strangers)} scans stand in {manifest} as scans of another data set.")
    now = {item.row.scan: item.row for item in found}
    places = {scan: original.path for scan, original in read_map(private).items()}
    gone = {
        row.scan
        for row in before
        if row.dataset == kind and row.scan not in now and places.get(row.scan, out).is_relative_to(folder)
    }
    others = [row for row in before if row.scan not in now and row.scan not in gone]
    remember(private, found, forget=gone)
    write_manifest(manifest, [*others, *now.values()])
    replace_notes(out / "input_warnings.csv", listing.tables, listing.notes)
    log_notes(listing.notes, out / "input_warnings.csv")
    labelled = sum(row.label is not None for row in now.values())
    summary = f"{len(now)} scans of {kind} ({labelled} with a label), {len(gone)} gone, {len(others)} others kept"
    print(f"{manifest}: {summary}", file=sys.stderr)  # stdout may belong to a workflow that lists scans on its way
