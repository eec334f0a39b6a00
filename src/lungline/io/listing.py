"""Which scans lie in a folder: LUNA16, DSB17, or whatever somebody has."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lungline.errors import LunglineError
from lungline.io.raw import is_dicom
from lungline.io.sheet import ScanRow, small_number
from lungline.io.tables import read_rows
from lungline.splits import Split, split_of_luna_fold, split_of_patient

_FILES = {".mhd": "mhd", ".mha": "mhd", ".nii": "nifti", ".nii.gz": "nifti"}
_LOOK_INTO = 8  # files of a folder that are opened before it counts as one without DICOM


@dataclass(frozen=True)
class Listed:
    """A row of the sheet, and where its scan lies.

    Attributes
    ----------
    row : ScanRow
    original : str
        The scan's own name, which may identify a patient.
    path : Path
        Absolute.
    """

    row: ScanRow
    original: str
    path: Path


def list_luna16(folder: Path) -> list[Listed]:
    """`subset0` .. `subset9` with one `<seriesuid>.mhd` a scan; subset 8 is for validation, 9 for the test."""
    found = [
        _listed(path, path.stem, "mhd", "luna16", split_of_luna_fold(fold), fold=fold)
        for fold in range(10)
        for path in sorted((folder / f"subset{fold}").glob("*.mhd"))
    ]
    return _checked(found, folder, "subset0 .. subset9 with .mhd files")


def list_dsb17(folder: Path) -> list[Listed]:
    """`stage1/<patient>/` (or `<patient>/`) of DICOM files, `stage1_labels.csv`, `stage1_solution.csv`.

    Patients of the solution, and those without a label, are the test; the others are split by a hash.
    """
    known, solution = (
        read_labels(path) if (path := folder / name).is_file() else {}
        for name in ("stage1_labels.csv", "stage1_solution.csv")
    )
    if both := sorted(known.keys() & solution.keys()):
        raise LunglineError(f"{folder}: {len(both)} patients stand in both label files, so train and test would mix.")
    labels = known | solution
    in_stage1 = (folder / "stage1").is_dir()
    found = []
    for path in sorted((folder / "stage1" if in_stage1 else folder).iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        if not (in_stage1 or path.name in labels or holds_dicom(path)):
            continue
        split: Split = split_of_patient(path.name) if path.name in known else "test"
        label = labels.get(path.name)
        found.append(_listed(path, path.name, "dicom", "dsb17", split, label=label))
    return _checked(found, folder, "folders of DICOM files, in stage1/ or directly")


def list_folder(folder: Path, key: bytes, labels: dict[str, int]) -> list[Listed]:
    """Every folder with DICOM files and every .mhd, .mha, .nii, .nii.gz, at any depth; all are test scans.

    Parameters
    ----------
    key : bytes
        Secret that turns a path into a pseudonym; the same key gives the same pseudonym.
    labels : mapping
        The scan's name (relative path or last part of it, without suffix) to 0 or 1.
    """
    found = []
    for path, source in _scans_below(folder):
        original = path.relative_to(folder).as_posix() if path != folder else folder.name
        name = path.name.removesuffix(_suffix(path)) if source != "dicom" else path.name
        label = labels.get(original, labels.get(name))
        digest = hmac.new(key, os.fsencode(path), hashlib.sha256).hexdigest()
        found.append(Listed(ScanRow(f"scan-{digest[:10]}", source, "folder", "test", None, label), original, path))
    return _checked(found, folder, "a folder of DICOM files, or .mhd, .mha, .nii, .nii.gz")


def read_labels(path: Path) -> dict[str, int]:
    """The table `id,cancer` as id -> 0 or 1; an id that stands there twice is refused with its line."""
    labels: dict[str, int] = {}
    for line, words in read_rows(path, ("id", "cancer")):
        name, label = words["id"], small_number(words["cancer"], f"{path}, line {line}: cancer")
        if label not in (0, 1) or not name:
            raise LunglineError(f"{path}, line {line}: expected an id and cancer = 0 or 1.")
        if name in labels:
            how = "the same" if labels[name] == label else "another"
            raise LunglineError(f"{path}, line {line}: this id stands there before, with {how} label.")
        labels[name] = label
    return labels


def _listed(
    path: Path,
    scan: str,
    source: str,
    dataset: str,
    split: Split,
    *,
    fold: int | None = None,
    label: int | None = None,
) -> Listed:
    try:
        return Listed(ScanRow(scan, source, dataset, split, fold, label), scan, path)
    except LunglineError as error:
        raise LunglineError(f"{path}: {error} List such scans as a plain folder: they get pseudonyms.") from None


def _scans_below(folder: Path) -> Iterator[tuple[Path, str]]:
    """(path, source) of every scan, sorted; links to folders are followed, each place once."""
    seen: set[str] = set()
    for here, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        if holds_dicom(Path(here)):
            yield Path(here), "dicom"
        for name in sorted(files):
            if not name.startswith(".") and _suffix(Path(name)):
                yield Path(here, name), _FILES[_suffix(Path(name))]


def _suffix(path: Path) -> str:
    return next((suffix for suffix in (".nii.gz", *_FILES) if path.name.endswith(suffix)), "")


def holds_dicom(folder: Path) -> bool:
    """Whether a folder holds DICOM files directly: by a name in .dcm, else by the mark in the first files."""
    with os.scandir(folder) as entries:
        files = sorted(Path(entry.path) for entry in entries if entry.is_file())
    return any(path.suffix.lower() == ".dcm" for path in files) or any(map(is_dicom, files[:_LOOK_INTO]))


def _checked(found: list[Listed], folder: Path, expected: str) -> list[Listed]:
    """Refuse a folder without scans, and one that holds a scan twice."""
    if not found:
        raise LunglineError(f"{folder}: expected {expected}. Found none.")
    twice = len(found) - len({item.row.scan for item in found})
    if twice:
        raise LunglineError(f"{folder}: {twice} scans stand there under an id of another. Remove the copies.")
    return found
