"""Find a scan again: from pseudonym to its own name and place, or from name or place to pseudonym."""

from collections.abc import Mapping
from pathlib import Path

from lungline.errors import LunglineError
from lungline.escape import visible
from lungline.privacy.pseudonyms import Original, read_map


def run(scan: str, *, private: Path) -> None:
    """Print pseudonym, own name and place of every scan that SCAN may mean, one per line.

    SCAN is a pseudonym or a result file named after one; a scan's own name, whole or its last part, with or without
    suffix; or a path: of the scan, of a file in it, or of a folder with scans. PRIVATE is the run's private folder.
    """
    if not private.is_dir():
        raise LunglineError(f"{private}: expected the folder private/ of a run. There is none; name it with --private.")
    known = read_map(private)
    found = matches(scan, known)
    if not found:
        raise LunglineError(f"{private}: none of its {len(known)} scans is called or lies so. Check name and folder.")
    for one in found:
        print(one, visible(known[one].name), visible(str(known[one].path)), sep="\t")


def matches(word: str, known: Mapping[str, Original]) -> list[str]:
    """The scans that a word may mean, by the surest reading that finds one."""
    place = Path(word)
    for scan in (word, place.stem):
        if scan in known:
            return [scan]
    named = [scan for scan, original in known.items() if word in _names(original)]
    places = {place.absolute(), place.resolve()}
    return named or [scan for scan, original in known.items() if any(_touch(original.path, p) for p in places)]


def _names(original: Original) -> set[str]:
    last = original.path.name
    return {original.name, last, last.partition(".")[0], original.path.stem}


def _touch(scan: Path, place: Path) -> bool:
    """Whether one is the other or lies in it; links are followed."""
    return any(place.is_relative_to(s) or s.is_relative_to(place) for s in (scan, scan.resolve()))
