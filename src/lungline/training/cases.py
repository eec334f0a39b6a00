"""Training cases of a classifier: patients as cubes or volumes, or single nodules that readers have rated."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lungline.config.entries import CandidateClassifier, WholeVolumeClassifier
from lungline.config.networks import CancerNetSpec
from lungline.storage import hdf5
from lungline.storage.checksums import unrecorded
from lungline.storage.scan_rows import ScanRow
from lungline.storage.tables import decimal, read_rows
from lungline.training.patients import Patient, PatientCubes, read_cubes
from lungline.training.volumes import PatientVolume, largest_region

SPLITS = ("train", "valid")

_POOLS = {"max": "the maximum over the candidates", "mean": "the mean over the candidates"}
_POOLS |= {"noisy_or": "that of at least one cancer among the candidates and a cause that none shows"}
_COLUMNS = ("seriesuid", "coordX", "coordY", "coordZ", "diameter_mm", "malignant")


@dataclass(frozen=True)
class Cohort:
    """Patients by split, read from INPUTS/{scan}.h5; the network that takes them, and what its card says of them."""

    patients: Mapping[str, Sequence[Patient]]
    inputs: Path
    network: CancerNetSpec
    card: Mapping[str, Any]


@dataclass(frozen=True)
class RatedNodule:
    """An annotated nodule, and whether readers rated it malignant (1) or not (0)."""

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


def gather(spec: CandidateClassifier | WholeVolumeClassifier, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
    """The patients of `rows` with a label and a file in `inputs` that is not quarantined."""
    labelled = [row for row in _usable(rows, inputs) if row.label is not None]
    if isinstance(spec, CandidateClassifier):
        return _gather_cubes(spec, labelled, inputs)
    return _gather_volumes(spec, labelled, inputs)


def gather_nodules(
    spec: CandidateClassifier, rows: Sequence[ScanRow], inputs: Path, nodules: Sequence[RatedNodule]
) -> Cohort:
    """Every candidate of the annotated scans of `rows` in INPUTS as a patient with one cube.

    Its label is that of the nodule within whose radius its centroid lies, and 0 outside all of them: a vessel is no
    cancer. Candidates are the cases, not scans, so their number is not limited to what is shown of a patient.
    """
    patients: dict[str, list[Patient]] = {split: [] for split in SPLITS}
    for row in _usable(rows, inputs):
        path = inputs / f"{row.scan}.h5"
        centroids = hdf5.read_array(path, "centroid_xyz_mm")[hdf5.read_array(path, "valid")]
        cubes, features = read_cubes(path, spec.network)
        for i, centroid in enumerate(centroids):
            around = [
                nodule.malignant
                for nodule in nodules
                if nodule.scan == row.scan and np.linalg.norm(centroid - nodule.centre_xyz_mm) < nodule.diameter_mm / 2
            ]
            own = None if features is None else features[i : i + 1]
            case = PatientCubes(
                row.scan,
                max(around, default=0),
                cubes[i : i + 1],
                spec.flips_and_rotations,
                spec.affine_and_intensity,
                own,
            )
            patients[row.split].append(case)
    return _cubes_cohort(spec, patients, inputs)


def _usable(rows: Sequence[ScanRow], inputs: Path) -> list[ScanRow]:
    """Those of train and valid that have a file which is not quarantined."""
    files = [(row, inputs / f"{row.scan}.h5") for row in rows if row.split in SPLITS]
    with unrecorded():
        return [row for row, path in files if path.is_file() and hdf5.read_header(path).status != "quarantined"]


def _gather_cubes(spec: CandidateClassifier, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
    patients: dict[str, list[Patient]] = {split: [] for split in SPLITS}
    without = []
    for row in rows:
        cubes, features = read_cubes(inputs / f"{row.scan}.h5", spec.network, spec.candidates, spec.min_score)
        label = int(row.label or 0)
        if len(cubes):
            patients[row.split].append(
                PatientCubes(row.scan, label, cubes, spec.flips_and_rotations, spec.affine_and_intensity, features)
            )
        elif row.split == "train":
            without.append(label)
    return _cubes_cohort(spec, patients, inputs, without)


def _cubes_cohort(
    spec: CandidateClassifier, patients: Mapping[str, Sequence[Patient]], inputs: Path, without: Sequence[int] = ()
) -> Cohort:
    """Patients with cubes, and the labels of those in training `without` a candidate."""
    labels = [*(patient.label for patient in patients["train"]), *without]
    size = spec.network.shape_zyx
    card = {
        "purpose": f"logit per candidate cube; a patient's logit is {_POOLS[spec.network.pool]}",
        "input": f"scaled HU 0..1 and nodule probability 0..1 of a cube; (N, 2, {', '.join(map(str, size))})",
        "network": spec.network.model_dump(mode="json"),
        "logit_without_candidates": logit_without_candidates(without, labels),
        "training_patients": {"all": len(labels), "cancer": sum(labels), "without_candidates": len(without)},
    }
    return Cohort(patients, inputs, spec.network, card)


def logit_without_candidates(labels_without: Sequence[int], labels: Sequence[int]) -> float:
    """Logit of a patient without a candidate: log odds of cancer among such training patients.

    The share of cancer among training patients without a candidate, drawn towards the share among all of
    them by the weight of two patients, so that it is defined when there was none.
    """
    prior = (sum(labels) + 1) / (len(labels) + 2)
    share = (sum(labels_without) + 2 * prior) / (len(labels_without) + 2)
    return float(np.log(share / (1 - share)))


def _gather_volumes(spec: WholeVolumeClassifier, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
    training = [row for row in rows if row.split == "train"]
    shape_zyx = spec.input.shape_zyx or largest_region(inputs / f"{row.scan}.h5" for row in training)
    patients: dict[str, list[Patient]] = {split: [] for split in SPLITS}
    for row in rows:
        path = inputs / f"{row.scan}.h5"
        patients[row.split].append(PatientVolume(row.scan, int(row.label or 0), path, spec.input, shape_zyx))
    network = spec.network_on(shape_zyx)
    card = {
        "purpose": "cancer logit of a whole lung region; a patient's logit is the mean over the crops",
        "input": f"scaled HU 0..1 of the lung region, 0 (air) around it; (N, 1, {', '.join(map(str, shape_zyx))})",
        "network": network.model_dump(mode="json"),
        "training_patients": {"all": len(training), "cancer": sum(int(row.label or 0) for row in training)},
    }
    return Cohort(patients, inputs, network, card)
