"""The folder `private/`: the only place that knows where scans lie and what they were called.

`map.csv` (mode 0600) has a line a scan; `raw/{scan}` is a link to its folder or file; `key` is the secret of the
pseudonyms; `identity/{scan}.json` is what `lungline ingest` knows the patient by.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from lungline.errors import LunglineError
from lungline.io.atomic import write_secret
from lungline.io.listing import Listed
from lungline.io.tables import read_rows, table_text

_MAP_COLUMNS = ("scan", "original", "path")


def pseudonym_key(private: Path) -> bytes:
    """The secret of this private folder, made at the first call."""
    path = private / "key"
    if not path.exists():
        write_secret(path, secrets.token_hex(32))
    return path.read_bytes()


def read_map(private: Path) -> dict[str, tuple[str, Path]]:
    """scan -> (its own name, where it lies)."""
    path = private / "map.csv"
    if not path.exists():
        return {}
    return {words["scan"]: (words["original"], Path(words["path"])) for _, words in read_rows(path, _MAP_COLUMNS)}


def remember(private: Path, listed: Iterable[Listed], forget: Iterable[str]) -> None:
    """Add scans to the map and link them; drop the scans of `forget`."""
    private.mkdir(parents=True, exist_ok=True, mode=0o700)
    (private / "raw").mkdir(exist_ok=True)
    known = read_map(private)
    for scan in forget:
        known.pop(scan, None)
        (private / "raw" / scan).unlink(missing_ok=True)
    for item in listed:
        known[item.row.scan] = (item.original, item.path)
        _link(private / "raw" / item.row.scan, item.path)
    rows = [(scan, original, str(path)) for scan, (original, path) in sorted(known.items())]
    write_secret(private / "map.csv", table_text(_MAP_COLUMNS, rows))


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        if os.readlink(link) == str(target):
            return
        link.unlink()
    if link.exists():
        raise LunglineError(f"{link}: expected a link made by `lungline sheet`. Move what lies there away.")
    link.symlink_to(target)
