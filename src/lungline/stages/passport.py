"""Write which scans a model has seen, as hashes of their HU alone; or test scans against that."""

import json
from pathlib import Path
from typing import Literal

from lungline.errors import LunglineError
from lungline.readers.listing import list_folder
from lungline.readers.only_scan import read_listed
from lungline.readers.scan import hash_of_hu
from lungline.storage.checksums import check, write_text
from lungline.storage.foreign_files import read_json
from lungline.storage.weights import pixels_trained_on

FORMAT = "ct-hu-sha256"
VERSION = 1
_DIGEST = 64  # hexadecimal digits


def run(action: Literal["make", "check"], scans: Path, passport: Path) -> int:
    """make: write PASSPORT (JSON), the hashes of all SCANS. check: say which SCANS it holds; ends with 1 if any.

    SCANS is a scan or a folder of them, as for `lungline predict`. PASSPORT may also be the card.json of a model.
    docs/reference/leakage-passport.md is the specification. The passport holds no names, but whoever has a scan can
    tell that it was used.
    """
    known = passport_hashes(passport) if action == "check" else frozenset[str]()
    hashes = {}
    for found in list_folder(scans.absolute(), b"", None).scans:
        hashes[found.original] = hash_of_hu(read_listed(found, found.original)[0])
    if action == "make":
        listed = sorted(set(hashes.values()))
        content = {"format": FORMAT, "version": VERSION, "scans": listed}
        write_text(passport, json.dumps(content, indent=2) + "\n")
        print(f"{passport}: {len(listed)} hashes of {len(hashes)} scans")
        return 0
    seen = [name for name, digest in hashes.items() if digest in known]
    for name in seen:
        print(f"{name}: in the passport")
    print(f"{len(seen)} of {len(hashes)} scans are among the {len(known)} of the passport")
    return int(bool(seen))


def passport_hashes(path: Path) -> frozenset[str]:
    """The hashes of a passport, or of the training and validation cases of a model card; `LunglineError` if neither."""
    if not path.is_file():
        raise LunglineError(f"{path}: no such file. Name a passport, or the card.json of a model.")
    content = read_json(path)
    check(path)
    if "case_hu_sha256" in content:
        try:
            return pixels_trained_on(content)
        except (AttributeError, TypeError):
            raise LunglineError(f"{path}: case_hu_sha256: expected hashes by split and case. Found others.") from None
    if (content.get("format"), content.get("version")) != (FORMAT, VERSION):
        raise LunglineError(f"{path}: expected the format {FORMAT}, version {VERSION}. Found another.")
    hashes = content.get("scans")
    if not isinstance(hashes, list) or not all(map(_is_digest, hashes)):
        raise LunglineError(f"{path}: expected 'scans', a list of SHA-256 in {_DIGEST} small hexadecimal digits.")
    return frozenset(hashes)


def _is_digest(value: object) -> bool:
    return isinstance(value, str) and len(value) == _DIGEST and set(value) <= set("0123456789abcdef")
