"""Nodules that were cut out of real scans, as they lie in a folder: `nodules.csv`, `image/`, `nodule_mask/`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungline.errors import LunglineError
from lungline.imaging.resampling import resample
from lungline.imaging.volume import Volume
from lungline.readers.nifti import read_nifti
from lungline.readers.scan import volume_of
from lungline.storage.tables import decimal, read_rows
from lungline.synthetic.blending import SourceNodule

#: They also stand in LUNA-16 slabs that test whether nodules are found.
NEVER_TRAINED = frozenset({"LIDC-IDRI-0001", "LIDC-IDRI-0003"})
_COLUMNS = ("patient_id", "nodule_id", "diameter_mm", "Diagnosis_value")
#: LIDC's ratings of the texture (McNitt-Gray 2007): 1 non-solid, 3 part-solid, 5 solid, and what lies between.
_ATTENUATIONS = {"1": "ground-glass", "2": "part-solid", "3": "part-solid", "4": "part-solid", "5": "solid"}


@dataclass(frozen=True)
class NoduleRow:
    """One line of `nodules.csv`; `malignant` is 1 if two or more readers rated it above 3 of 5. An opinion.

    `attenuation` is what they called its texture, "" where the table has none.
    """

    name: str
    patient: str
    diameter_mm: float
    malignant: int
    attenuation: str = ""


def read_nodule_rows(folder: Path) -> list[NoduleRow]:
    """The nodules of FOLDER/nodules.csv but those of `NEVER_TRAINED`."""
    return [
        NoduleRow(
            f"{row['patient_id']}_R_{row['nodule_id']}",
            row["patient_id"],
            decimal(row["diameter_mm"], "diameter_mm"),
            int(row["Diagnosis_value"]),
            _ATTENUATIONS.get(row.get("Texture_value", ""), ""),
        )
        for _, row in read_rows(folder / "nodules.csv", _COLUMNS, numbers=("diameter_mm",), foreign=True)
        if row["patient_id"] not in NEVER_TRAINED
    ]


def fresh_nodule_rows(folder: Path, sources: Path) -> list[NoduleRow]:
    """The nodules of FOLDER but those of patients that SOURCES (source, split) says models were trained or chosen on.

    `LunglineError` if none is left.
    """
    used = [row["source"] for _, row in read_rows(sources, ("source", "split")) if row["split"] != "test"]
    seen = {name.partition("_R_")[0] for name in used}
    rows = [row for row in read_nodule_rows(folder) if row.patient not in seen]
    if not rows:
        raise LunglineError(f"{folder}: no nodule that the packaged models have not learned from. Name another folder.")
    return rows


def read_nodule(folder: Path, row: NoduleRow) -> tuple[Volume, Volume]:
    """HU of a nodule and what lies around it, and the mask of what the readers outlined; on the grid of its scan.

    `LunglineError` if the two do not lie on one grid.
    """
    ct, mask = (
        volume_of(read_nifti(folder / part / f"{row.name}.nii.gz")).to_lps() for part in ("image", "nodule_mask")
    )
    if ct.shape_zyx != mask.shape_zyx or not np.allclose(ct.affine, mask.affine):
        raise LunglineError(f"{folder}: image and mask of {row.name} should lie on one grid. They do not.")
    return ct, mask


def read_source_nodule(folder: Path, row: NoduleRow) -> SourceNodule:
    """A nodule on a grid of 1 mm, ready to be implanted; raises as `read_nodule`."""
    ct, mask = read_nodule(folder, row)
    about = (row.name, row.patient, row.malignant, row.diameter_mm)
    return SourceNodule(*about, resample(ct).array, resample(mask).array >= 0.5, float(ct.spacing_zyx_mm[0]))
