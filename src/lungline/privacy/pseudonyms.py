"""The folder `private/`: the only place that knows where scans lie and what they were called.

`map.csv` has a line per scan; `raw/{scan}` is a link to its folder or file; `key` is the secret of the pseudonyms;
`identity/{scan}.json` is what `lungline ingest` knows the patient by. Folders have mode 0700, files 0600.
"""

import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from lungline.errors import LunglineError
from lungline.escape import cell, uncell
from lungline.privacy.permissions import restrict_permissions, secret_folder, write_secret
from lungline.readers.listing import Listed
from lungline.storage.tables import read_rows, table_text

_MAP_COLUMNS = ("scan", "original", "path")


class Original(NamedTuple):
    """What a scan was called before it came here, and where it lies."""

    name: str
    path: Path


def pseudonym_key(private: Path) -> bytes:
    """The secret of this private folder, made at the first call."""
    path = private / "key"
    if not path.exists():
        write_secret(path, secrets.token_hex(32))
    key = path.read_bytes()
    if not re.fullmatch(rb"[0-9a-f]{64}", key):
        raise LunglineError(f"{path}: expected 64 hexadecimal digits. Restore the file; without it pseudonyms change.")
    return key


def read_map(private: Path) -> dict[str, Original]:
    """What each scan was; only the manifest, which writes it, and the way out (`export`, `reidentify`) may ask."""
    path = private / "map.csv"
    if not path.exists():
        return {}
    return {
        cells["scan"]: Original(uncell(cells["original"]), Path(uncell(cells["path"])))
        for _, cells in read_rows(path, _MAP_COLUMNS)
    }


def remember(private: Path, listed: Iterable[Listed], forget: Iterable[str]) -> None:
    """Add scans to the map and link them; drop the scans of `forget`."""
    for folder in (private, private / "raw"):
        secret_folder(folder)
    if (private / "key").exists():
        restrict_permissions(private / "key")
    known = read_map(private)
    for scan in forget:
        known.pop(scan, None)
        (private / "raw" / scan).unlink(missing_ok=True)
    for item in listed:
        known[item.row.scan] = Original(item.original, item.path)
        _link(private / "raw" / item.row.scan, item.path)
    rows = [(scan, cell(original.name), cell(str(original.path))) for scan, original in sorted(known.items())]
    write_secret(private / "map.csv", table_text(_MAP_COLUMNS, rows))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if os.readlink(link) == str(target):
            return
        link.unlink()
    if link.exists():
        raise LunglineError(f"{link}: expected a link made by `lungline manifest`. Move what lies there away.")
    try:
        link.symlink_to(target)
    except OSError as error:  # its own words name the target
        raise LunglineError(f"{link}: the link to the scan cannot be made ({error.strerror}).") from None
