"""Choose a small, shareable set of nodules from a folder of LIDC-IDRI's cut-outs, for `lungline acceptance`."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lungline import NOTICE
from lungline.errors import LunglineError
from lungline.storage.checksums import atomic_path, sha256, write_text
from lungline.storage.tables import read_rows, table_text
from lungline.synthetic.implanted_chests import size_of
from lungline.synthetic.source_nodules import NoduleRow, fresh_nodule_rows
from lungline.workflow.bundle import PACKAGED

_COLUMNS = ("patient_id", "nodule_id", "diameter_mm", "Diagnosis_value")
_RATING = "Texture_value"
_CREDIT = """Nodules cut out of CT scans of LIDC-IDRI, chosen by lungline. Pixels and masks are as they were.

LIDC-IDRI: Armato III SG et al., Data From LIDC-IDRI, The Cancer Imaging Archive, 2015,
https://doi.org/10.7937/K9/TCIA.2015.LO9QL9SX. Licence: Creative Commons Attribution 3.0 Unported (CC BY 3.0),
https://creativecommons.org/licenses/by/3.0/
"""


def run(nodules: Path, out: Path, *, most_mb: float = 8.0, seed: int = 0) -> None:
    """Copy some of NODULES to OUT, at most MOST_MB (1e6 bytes), with their table and whom to credit.

    NODULES is a folder with nodules.csv (patient_id, nodule_id, diameter_mm, Diagnosis_value; Texture_value, if the
    attenuation is to be known), image/ and nodule_mask/ (PATIENT_R_NODULE.nii.gz, HU and outline on one grid). Sizes
    (3-6, 6-10, >=10 mm) and attenuations come in turn. Patients whose nodules the packaged models learned from are left
    out, so that these models can be accepted with the set. The same SEED and folder give the same set.
    """
    if out.exists() and any(out.iterdir()):
        raise LunglineError(f"{out}: expected a new or empty folder. Something lies there; name another.")
    rows = fresh_nodule_rows(nodules, PACKAGED.parent / "sources.csv")
    chosen, size = _choose(nodules, rows, most_mb * 1e6 - len(_CREDIT) - len(NOTICE), np.random.default_rng(seed))
    if not chosen:
        raise LunglineError(f"--most-mb {most_mb:g}: not a nodule of {nodules} is as small. Allow more.")
    told = {f"{row['patient_id']}_R_{row['nodule_id']}": row for _, row in _table(nodules)}
    for row in chosen:
        for part in ("image", "nodule_mask"):
            (out / part).mkdir(parents=True, exist_ok=True)
            with atomic_path(out / part / f"{row.name}.nii.gz") as temporary:
                shutil.copyfile(nodules / part / f"{row.name}.nii.gz", temporary)
    columns = (*_COLUMNS, _RATING)
    text = table_text(columns, [[told[row.name].get(name, "") for name in columns] for row in chosen])
    write_text(out / "nodules.csv", text)
    write_text(out / "CREDIT.txt", f"{_CREDIT}\n{NOTICE}\n")
    print(f"{out}: {len(chosen)} of {len(rows)} nodules, {size / 1e6:.2f} MB")


def _table(nodules: Path) -> list[tuple[int, dict[str, str]]]:
    return read_rows(nodules / "nodules.csv", _COLUMNS, numbers=("diameter_mm",), foreign=True)


def _choose(
    nodules: Path, rows: Sequence[NoduleRow], most_bytes: float, rng: np.random.Generator
) -> tuple[list[NoduleRow], int]:
    """As many as fit, a kind (size and attenuation) after the other, sorted by name; and their bytes."""
    kinds: dict[tuple[str, str], list[NoduleRow]] = {}
    for index in rng.permutation(len(rows)):
        kinds.setdefault((size_of(rows[index].diameter_mm), rows[index].attenuation), []).append(rows[index])
    chosen: list[NoduleRow] = []
    used, seen = 0, set[str]()
    while kinds:
        for kind in sorted(kinds):
            row = kinds[kind].pop()
            files = [nodules / part / f"{row.name}.nii.gz" for part in ("image", "nodule_mask")]
            if missing := [file for file in files if not file.is_file()]:
                raise LunglineError(f"{missing[0]}: no such file. Restore it, or take its row out of nodules.csv.")
            size = sum(file.stat().st_size for file in files) + 100  # and its row
            if used + size <= most_bytes and (digest := sha256(files[0])) not in seen:
                chosen.append(row)
                used += size
                seen.add(digest)
        kinds = {kind: left for kind, left in kinds.items() if left}
    return sorted(chosen, key=lambda row: row.name), used
