"""Which scans lie in a folder (LUNA16, DSB17, or whatever somebody has), and the labels of their patients.

What is said here stands in logs of the workflow: no message names what lies below the folder, or quotes a table.
"""

import functools
import hashlib
import hmac
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

from lungline.errors import LunglineError
from lungline.readers.by_format import is_scan
from lungline.readers.census import Census, kind_of_file
from lungline.readers.dicom_sniff import beside_dicom, is_dicom, looks_like_dicom
from lungline.readers.raw import is_file
from lungline.readers.studies import place_of_study, scans_of_folder
from lungline.readers.zips import is_zip, place_in_zip, scans_in_zip
from lungline.scan_formats import SUFFIXES_IN_WORDS, scan_suffix, source_of_name
from lungline.splits import Split, split_of_luna_fold, split_of_patient
from lungline.storage.scan_rows import ScanRow
from lungline.storage.spreadsheets import invisible_in
from lungline.storage.tables import Faults, Note, kind_of_word, read_rows

P = ParamSpec("P")

_LABEL = re.compile(r"([01])(\.0*)?\Z")  # 1.0 is how a column with gaps is written by other programs


@dataclass(frozen=True)
class Labels:
    """A table of labels: 0 or 1 and the line number of each id, and notes on rows that were left out."""

    path: Path
    of: Mapping[str, int] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[Note] = ()


def read_labels(path: Path) -> Labels:
    """The table `id,cancer`; a row that says what an earlier one said is left out.

    `LunglineError` names every line that has no id, a label other than 0 or 1, or another label than an earlier row.
    """
    of: dict[str, int] = {}
    lines: dict[str, int] = {}
    notes: list[Note] = []
    faults = Faults(path)
    for line, cells in read_rows(path, ("id", "cancer"), faults, numbers=("cancer",), foreign=True):
        name, label = cells["id"], label_of(cells["cancer"])
        if not name or label is None:
            wrong = f"cancer is {kind_of_word(cells['cancer'])}" if name else "the id is nothing"
            faults.add(line, f"expected an id and cancer = 0 or 1. Found: {wrong}.")
        elif name not in of:
            of[name], lines[name] = label, line
        elif of[name] != label:
            faults.add(line, f"the id of line {lines[name]} with another label. Remove the wrong one.")
        else:
            notes.append(Note(path.name, line, "T_ROW_TWICE", f"the same as line {lines[name]}; left out"))
    faults.refuse()
    return Labels(path, of, lines, notes)


def label_of(word: str) -> int | None:
    """0 or 1, also written as 1.0, true or FALSE; None for any other word."""
    found = _LABEL.match({"true": "1", "false": "0"}.get(word.lower(), word))
    return int(found[1]) if found else None


def match_labels(table: Labels, names: Mapping[str, Sequence[str]]) -> tuple[dict[str, int], list[Note]]:
    """The label of each scan that has one, and notes: those of the table, and on every row that means no scan.

    `names` says what each scan may be called in the table, best first. `LunglineError` names every line that means
    several scans, or contradicts another row of the same scan: a label would be a guess.
    """
    faults = Faults(table.path)
    labels: dict[str, int] = {}
    taken: dict[str, str] = {}
    known: set[str] = set()
    for scan, its_names in names.items():
        rows = [name for name in dict.fromkeys(its_names) if name in table.of]
        known.update(rows)
        if not rows:
            continue
        labels[scan] = table.of[rows[0]]
        for other in rows[1:]:
            if table.of[other] != labels[scan]:
                faults.add(table.lines[other], f"another label than line {table.lines[rows[0]]}, for the same scan.")
        if taken.setdefault(rows[0], scan) != scan:
            faults.add(table.lines[rows[0]], "this id means several scans. Write the path below the folder instead.")
    faults.refuse()
    strangers = [
        Note(
            table.path.name,
            table.lines[name],
            "T_UNKNOWN_SCAN",
            f"this id{_odd(name)} is no scan of the folder; not used",
        )
        for name in table.of
        if name not in known
    ]
    return labels, [*table.notes, *strangers]


def _odd(name: str) -> str:
    return f" (with {inside} in it)" if (inside := invisible_in(name)) else ""


def without_label(table: Labels, scans: Sequence[str], labels: Mapping[str, int]) -> list[Note]:
    """A note for every scan that the table says nothing about."""
    return [
        Note(table.path.name, None, "T_NO_LABEL", f"no row for scan {scan}") for scan in scans if scan not in labels
    ]


@dataclass(frozen=True)
class Listed:
    """A row of the manifest, the scan's own name, which may identify a patient, and where it lies."""

    row: ScanRow
    original: str
    path: Path


@dataclass(frozen=True)
class Listing:
    """The scans of a folder; what was found in its label tables and does not stop the run; names of these tables.

    `passed_over` counts, of a plain folder, what is no scan.
    """

    scans: list[Listed]
    notes: list[Note] = field(default_factory=list)
    tables: tuple[str, ...] = ()
    passed_over: Census = field(default_factory=Census)


def _without_names(list_scans: Callable[Concatenate[Path, P], Listing]) -> Callable[Concatenate[Path, P], Listing]:
    """Errors of the system name files, whose names may identify a patient: say what is wrong, not where."""

    @functools.wraps(list_scans)
    def listing(folder: Path, *more: P.args, **options: P.kwargs) -> Listing:
        try:
            return list_scans(folder, *more, **options)
        except OSError as error:
            found = f"{folder}: something in it cannot be read ({error.strerror})."
            raise LunglineError(f"{found} Give yourself the right to read all of it.") from None

    return listing


@_without_names
def list_luna16(folder: Path) -> Listing:
    """`subset0` .. `subset9` with one `<seriesuid>.mhd` a scan; subset 8 is for validation, 9 for the test."""
    found = [
        _listed(f"{folder}, subset{fold}, .mhd file {n}", path, "mhd", "luna16", split_of_luna_fold(fold), fold=fold)
        for fold in range(10)
        for n, path in enumerate(_of_luna16(folder / f"subset{fold}"), start=1)
    ]
    return Listing(_checked(found, folder, "subset0 .. subset9 with .mhd files"))


def _of_luna16(subset: Path) -> list[Path]:
    files = sorted(subset.iterdir()) if subset.is_dir() else []
    return [path for path in files if path.suffix.lower() == ".mhd" and not path.name.startswith(".")]


@_without_names
def list_dsb17(folder: Path) -> Listing:
    """`stage1/<patient>/` (or `<patient>/`) of DICOM files, `stage1_labels.csv`, `stage1_solution.csv`.

    Patients of the solution, and those without a label, are the test; the others are split by a hash.
    """
    tables = {name: folder / name for name in ("stage1_labels.csv", "stage1_solution.csv")}
    known, solution = (read_labels(path) if path.is_file() else Labels(path) for path in tables.values())
    faults = Faults(solution.path)
    for name in solution.of.keys() & known.of.keys():
        there = f"{known.path.name}, line {known.lines[name]}"
        faults.add(solution.lines[name], f"this patient stands in {there}, too, so train and test would mix.")
    faults.refuse()
    in_stage1 = (folder / "stage1").is_dir()
    places = {
        path.name: path
        for path in sorted((folder / "stage1" if in_stage1 else folder).iterdir())
        if path.is_dir()
        and not path.name.startswith(".")
        and (in_stage1 or path.name in known.of or path.name in solution.of or holds_dicom(path))
    }
    names = {name: (name,) for name in places}
    known_labels, notes = match_labels(known, names)
    test_labels, more = match_labels(solution, names)
    labels = known_labels | test_labels
    found: list[Listed] = []
    for name, path in places.items():
        split: Split = split_of_patient(name) if name in known_labels else "test"
        place = f"{folder}, patient {len(found) + 1}"
        found.append(_listed(place, path, "dicom", "dsb17", split, label=labels.get(name)))
    unlabelled = without_label(solution, list(places), labels) if solution.of else []
    scans = _checked(found, folder, "folders of DICOM files, in stage1/ or directly")
    return Listing(scans, [*notes, *more, *unlabelled], tuple(tables))


@_without_names
def list_folder(folder: Path, key: bytes, labels: Labels | None) -> Listing:
    """Every folder with DICOM files and every file that is a scan by itself, at any depth, also in a zip; for the test.

    Where images of several patients or studies lie in one folder, each of them is a scan.
    `key` is the secret that turns a path into a pseudonym, always the same. Ids of `labels` are a scan's relative path
    or the last part of it, without suffix.
    """
    places, names = {}, {}
    census = Census()
    for path, source in _scans_below(folder, census):
        original = path.relative_to(folder).as_posix() if path != folder else folder.name
        scan = f"scan-{hmac.new(key, os.fsencode(path), hashlib.sha256).hexdigest()[:10]}"
        places[scan] = (path, source, original)
        names[scan] = (original, path.name.removesuffix(scan_suffix(path.name)) if source != "dicom" else path.name)
    of, notes = match_labels(labels, names) if labels else ({}, [])
    found = [
        Listed(ScanRow(scan, source, "folder", "test", None, of.get(scan)), original, path)
        for scan, (path, source, original) in places.items()
    ]
    scans = _checked(found, folder, f"a folder of DICOM files, {SUFFIXES_IN_WORDS}, or a zip of them", census)
    if labels is None:
        return Listing(scans, passed_over=census)
    return Listing(scans, [*notes, *without_label(labels, list(places), of)], (labels.path.name,), census)


def _listed(place: str, path: Path, source: str, dataset: str, split: Split, **known: Any) -> Listed:
    """A scan under its own name; `place` says without that name where it stands among its sorted neighbours."""
    scan = path.stem if source == "mhd" else path.name
    try:
        return Listed(ScanRow(scan, source, dataset, split, **known), scan, path)
    except LunglineError as error:
        found = f"{place} in order of names: {error}"
        raise LunglineError(f"{found} List such scans as a plain folder: they get pseudonyms.") from None


def _scans_below(folder: Path, census: Census) -> Iterator[tuple[Path, str]]:
    """(path, source) of every scan, sorted; links to folders are followed, each place once.

    What nobody let us read may be a scan: a folder below is one, and one with such a file; reading them says why not.
    """
    if folder.is_file():
        found = [*_scans_of_file(folder, census), *([(folder, "dicom")] if is_dicom(folder) else [])]
        yield from found
        if not found and not is_zip(folder):
            census.pass_over([folder.name])
        return
    if place_of_study(folder):
        yield folder, "dicom"
        return
    if place := place_in_zip(folder):
        inside = place[0] / place[1]
        for path, source in scans_in_zip(place[0], census):
            if path.is_relative_to(inside):
                yield folder / path.relative_to(inside), source
        return
    seen: set[str] = set()
    closed: list[OSError] = []
    for here, folders, files in os.walk(folder, onerror=closed.append, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        yield from _scans_of_folder(Path(here), sorted(files), census)
    for error in closed:
        if Path(error.filename) == folder:
            raise error
        yield Path(error.filename), "dicom"


def _scans_of_folder(folder: Path, names: Sequence[str], census: Census) -> Iterator[tuple[Path, str]]:
    """The scans that lie directly in a folder; the files that are none are counted."""
    dicom = holds_dicom(folder)
    if dicom:
        yield from ((path, "dicom") for path in scans_of_folder(folder))
    elif names and (not os.access(folder, os.X_OK) or any(_is_closed(folder / name) for name in names)):
        yield folder, "dicom"
    others: list[str] = []
    scans: list[str] = []
    for name in names:
        hidden = name.startswith(".")
        found = [] if hidden else list(_scans_of_file(folder / name, census))
        yield from found
        if hidden or not is_zip(folder / name):
            (scans if found else others).append(name)
    if dicom:
        others = beside_dicom([folder / name for name in others])
    census.pass_over(others, scans, dicom=dicom)


def _is_closed(path: Path) -> bool:
    """Whether a file that may be DICOM, as far as its name tells, cannot be opened."""
    named = kind_of_file(path.name) or scan_suffix(path.name)
    return not named and os.path.exists(path) and not os.access(path, os.R_OK)


def _scans_of_file(path: Path, census: Census) -> Iterator[tuple[Path, str]]:
    """The scan that a file is by itself, or those in a zip."""
    if is_scan(path):
        yield path, source_of_name(path.name)
    elif is_zip(path) and path.is_file():
        yield from scans_in_zip(path, census)


def holds_dicom(folder: Path) -> bool:
    """Whether a folder holds DICOM files directly; hidden ones, as macOS leaves beside others, are none."""
    with os.scandir(folder) as entries:
        seen = [entry for entry in entries if not entry.name.startswith(".") and is_file(entry)]
        return looks_like_dicom(sorted(Path(entry.path) for entry in seen))


def _checked(found: list[Listed], folder: Path, expected: str, passed_over: Census | None = None) -> list[Listed]:
    """Refuse a folder without scans, and one that holds a scan twice."""
    if not found:
        beside = f" Passed over: {passed_over.in_words()}." if passed_over and passed_over.counts else ""
        raise LunglineError(f"{folder}: expected {expected}. Found none.{beside}")
    twice = len(found) - len({item.row.scan for item in found})
    if twice:
        raise LunglineError(f"{folder}: {twice} scans stand there under an id of another. Remove the copies.")
    return found
