"""Single candidates of annotated scans as cases of the cancer network: is this one malignant, as readers rated it?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lungline.config.entries import PatchSystem
from lungline.storage import hdf5
from lungline.storage.manifest import ScanRow
from lungline.storage.tables import decimal, read_rows
from lungline.training.cases import SPLITS, Cohort, describe_cubes
from lungline.training.patients import Patient, PatientCubes, read_cubes, read_features

_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "malignant")


@dataclass(frozen=True)
class RatedNodule:
    """An annotated nodule, and whether readers took it for malignant (1) or not (0)."""

    scan: str
    centre_xyz_mm: tuple[float, float, float]
    diameter_mm: float
    malignant: int


def read_rated_nodules(path: Path) -> list[RatedNodule]:
    """The nodules of a table as LUNA-16's `annotations.csv` with one more column, `malignant` (0 or 1)."""
    found = []
    for _, row in read_rows(path, _COLUMNS):
        x, y, z, diameter = (decimal(row[name], name) for name in _COLUMNS[1:5])
        found.append(RatedNodule(row["seriesuid"], (x, y, z), diameter, int(row["malignant"])))
    return found


def gather_nodules(spec: PatchSystem, rows: Sequence[ScanRow], inputs: Path, nodules: Sequence[RatedNodule]) -> Cohort:
    """Every candidate of the annotated scans of `rows` in INPUTS as a patient with one cube.

    Its label is that of the nodule within whose radius its centroid lies, and 0 outside all of them: a vessel is no
    cancer. Candidates are the cases, not scans, so their number is not limited to what is shown of a patient.
    """
    cases: dict[str, list[Patient]] = {split: [] for split in SPLITS}
    for row in rows:
        path = inputs / f"{row.scan}.h5"
        if row.split not in SPLITS or not path.is_file() or hdf5.read_header(path).status == "quarantined":
            continue
        centroids = hdf5.read_array(path, "centroid_xyz_mm")[hdf5.read_array(path, "valid")]
        own = [nodule for nodule in nodules if nodule.scan == row.scan]
        cubes = read_cubes(path, spec.network)
        measured = read_features(path, len(cubes)) if spec.network.measured else [None] * len(cubes)
        for cube, centroid, own_features in zip(cubes, centroids, measured, strict=True):
            around = [n for n in own if np.linalg.norm(centroid - n.centre_xyz_mm) < n.diameter_mm / 2]
            label = max((nodule.malignant for nodule in around), default=0)
            features = None if own_features is None else own_features[None]
            cases[row.split].append(PatientCubes(row.scan, label, cube[None], spec.augment, spec.distort, features))
    return describe_cubes(spec, cases, {split: [] for split in SPLITS})
