"""Write the list of scans of a folder: the manifest, the map to their own names, and what was found in their tables."""

import sys
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from lungline.privacy.pseudonyms import pseudonym_key, read_map, remember
from lungline.readers.listing import Listing, list_folder, read_labels
from lungline.storage.scan_rows import ScanRow, read_manifest, write_manifest
from lungline.storage.spreadsheets import changes_in_spreadsheets
from lungline.storage.tables import Note, log_notes, replace_notes, write_notes

_MANIFEST, _NOTES, _PRIVATE = "manifest.csv", "input_warnings.csv", "private"


def list_plain_folder(folder: Path, out: Path, labels: Path | None) -> Listing:
    """The scans of any folder, under the pseudonyms of `out`; `labels` is a table `id,cancer`."""
    return list_folder(folder.absolute(), pseudonym_key(out / _PRIVATE), read_labels(labels) if labels else None)


def listed_before(out: Path) -> dict[str, tuple[ScanRow, Path | None]]:
    """The row of each scan that `out` lists already, and where it lies."""
    rows = read_manifest(out / _MANIFEST) if (out / _MANIFEST).is_file() else []
    places = {scan: original.path for scan, original in read_map(out / _PRIVATE).items()}
    return {row.scan: (row, places.get(row.scan)) for row in rows}


def write_scan_list(
    out: Path,
    listings: Sequence[Listing],
    *,
    only: Callable[[str], object] = bool,
    keep: Collection[ScanRow] = (),
    notes: Sequence[Note] = (),
    tables: Collection[str] | None = None,
) -> list[ScanRow]:
    """Write `manifest.csv`, `input_warnings.csv`, `private/map.csv` and a link per scan; what says the same stays
    untouched.

    Scans that are neither listed (and wanted by `only`) nor among those to `keep` are forgotten. Notes on `tables`
    replace older ones on them, on all tables without that. Returns the rows that were listed.
    """
    found = [item for listing in listings for item in listing.scans if only(item.row.scan)]
    rows = [item.row for item in found]
    stay = {row.scan for row in (*rows, *keep)}
    remember(out / _PRIVATE, found, forget=read_map(out / _PRIVATE).keys() - stay)
    write_manifest(out / _MANIFEST, [*keep, *rows])
    all_notes = [*(note for listing in listings for note in listing.notes), *notes, *_changing_ids([*keep, *rows])]
    if tables is None:
        write_notes(out / _NOTES, all_notes)
    else:
        replace_notes(out / _NOTES, {*tables, _MANIFEST}, all_notes)
    log_notes(all_notes, out / _NOTES)
    return rows


def _changing_ids(rows: Sequence[ScanRow]) -> list[Note]:
    """A note on the ids of the manifest that would come back from a spreadsheet as others."""
    found = [row.scan for row in rows if changes_in_spreadsheets(row.scan)]
    what = f"{len(found)} of {len(rows)} ids are a number or a date to a spreadsheet, which writes them back changed"
    return [Note(_MANIFEST, None, "T_ID_CHANGES", what)] if found else []


def say_what_was_seen(listing: Listing) -> None:
    """One line on stderr: the scans by format, and what was passed over, by kind."""
    formats = Counter(item.row.source for item in listing.scans)
    seen = ", ".join(f"{count} {source}" for source, count in sorted(formats.items()))
    print(f"seen: {seen or 'no scan'}; passed over: {listing.passed_over.in_words()}", file=sys.stderr)
