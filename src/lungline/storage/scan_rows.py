"""The manifest `manifest.csv`: one row per scan, what it is, and what it may be used for."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

from lungline.errors import LunglineError
from lungline.scan_formats import FORMATS
from lungline.storage.checksums import unrecorded, write_text
from lungline.storage.tables import Faults, read_rows, table_text

DATASETS = ("luna16", "dsb17", "folder")
SPLITS = ("train", "valid", "test")
_SCAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


@dataclass(frozen=True)
class ScanRow:
    """One scan: its id, which names its files, how it is read, and what it may be used for.

    `fold` is the LUNA16 subset 0..9; `label` is 1 cancer, 0 no cancer, None unknown; `lungs` and `lobes` are label maps
    by another program, as paths from the folder of the manifest, "" without. A value that is not allowed
    raises `LunglineError` that does not quote it, as it may identify a patient.
    """

    scan: str
    source: str
    dataset: str
    split: str
    fold: int | None = None
    label: int | None = None
    lungs: str = ""
    lobes: str = ""

    def __post_init__(self) -> None:
        if not _SCAN_ID.match(self.scan):
            raise LunglineError(
                "a scan id holds letters, digits, '.', '_' and '-', at most 128, a letter or digit first."
            )
        for name, allowed in (("source", tuple(FORMATS)), ("dataset", DATASETS), ("split", SPLITS)):
            if getattr(self, name) not in allowed:
                raise LunglineError(f"{name} must be one of {', '.join(allowed)}.")
        if self.fold not in (None, *range(10)):
            raise LunglineError("fold must be 0 to 9 or empty.")
        if self.label not in (None, 0, 1):
            raise LunglineError("label must be 0, 1 or empty.")

    @property
    def is_case(self) -> bool:
        """Whether networks may learn from this scan, or answers be measured on it."""
        return self.dataset == "luna16" or self.label is not None


#: Columns that a manifest may leave out, and does where no scan has any.
MASKS = ("lungs", "lobes")
COLUMNS = tuple(field.name for field in fields(ScanRow) if field.name not in MASKS)


@unrecorded()
def read_manifest(path: Path) -> list[ScanRow]:
    """All rows of a manifest; `LunglineError` names every line that is wrong."""
    path = Path(path)
    rows: dict[str, ScanRow] = {}
    faults = Faults(path)
    for line, cells in read_rows(path, COLUMNS, faults, foreign=True):
        try:
            row = ScanRow(
                **{name: cells[name] for name in COLUMNS[:4]},
                fold=small_number(cells["fold"], "fold"),
                label=small_number(cells["label"], "label"),
                **{name: cells.get(name, "") for name in MASKS},
            )
        except LunglineError as error:
            faults.add(line, str(error))
            continue
        if row.scan in rows:
            faults.add(line, f"scan '{row.scan}' stands there twice.")
        rows[row.scan] = row
    faults.refuse()
    return list(rows.values())


def small_number(word: str, name: str) -> int | None:
    """A number of one digit, or None for an empty word."""
    if word and not re.fullmatch("[0-9]", word):
        raise LunglineError(f"{name} must be one digit or empty.")
    return int(word) if word else None


def manifest_text(rows: Iterable[ScanRow]) -> str:
    """A manifest, sorted by data set and scan."""
    listed = sorted(rows, key=lambda row: (DATASETS.index(row.dataset), row.scan))
    columns = [*COLUMNS, *(name for name in MASKS if any(getattr(row, name) for row in listed))]
    return table_text(columns, [[getattr(row, name) for name in columns] for row in listed])


def write_manifest(path: Path, rows: Iterable[ScanRow]) -> None:
    """Write a manifest; a file that says the same already is not touched. No checksum: people may edit it."""
    text = manifest_text(rows)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
