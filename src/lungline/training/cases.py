"""The patients that a system is trained on, as its kind wants to see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lungline.config.entries import PatchSystem, VolumeSystem
from lungline.config.networks import CancerNetSpec
from lungline.storage import hdf5
from lungline.storage.manifest import ScanRow
from lungline.training.patients import Patient, PatientCubes, logit_without_candidates, read_cubes
from lungline.training.volumes import PatientVolume, largest_region

SPLITS = ("train", "valid")

_POOLS = {"max": "the maximum over the candidates", "mean": "the mean over the candidates"}
_POOLS |= {"noisy_or": "that of at least one cancer among the candidates and a cause that none shows"}


@dataclass(frozen=True)
class Cohort:
    """Patients by split, the network that takes them, and what its card says of them."""

    patients: Mapping[str, Sequence[Patient]]
    network: CancerNetSpec
    card: Mapping[str, Any]


def gather(spec: PatchSystem | VolumeSystem, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
    """The patients of `rows` with a label and a file in `inputs` that is not quarantined."""
    known = [row for row in rows if row.split in SPLITS and row.label is not None]
    there = [row for row in known if (inputs / f"{row.scan}.h5").is_file()]
    usable = [row for row in there if hdf5.read_header(inputs / f"{row.scan}.h5").status != "quarantined"]
    return _patches(spec, usable, inputs) if isinstance(spec, PatchSystem) else _volumes(spec, usable, inputs)


def _patches(spec: PatchSystem, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
    patients: dict[str, list[Patient]] = {split: [] for split in SPLITS}
    without: dict[str, list[int]] = {split: [] for split in SPLITS}
    for row in rows:
        cubes = read_cubes(inputs / f"{row.scan}.h5", spec.network, spec.candidates, spec.at_least)
        label = int(row.label or 0)
        if len(cubes):
            patients[row.split].append(PatientCubes(row.scan, label, cubes, spec.augment, spec.distort))
        else:
            without[row.split].append(label)
    return describe_cubes(spec, patients, without)


def describe_cubes(
    spec: PatchSystem, patients: Mapping[str, Sequence[Patient]], without: Mapping[str, Sequence[int]]
) -> Cohort:
    """Patients with cubes, and the labels of those `without` a candidate, by split."""
    labels = [patient.label for patient in patients["train"]] + list(without["train"])
    size = spec.network.shape_zyx
    card = {
        "purpose": f"cancer logit a candidate cube; a patient's logit is {_POOLS[spec.network.pool]}",
        "input": f"scaled HU 0..1 and nodule probability 0..1 of a cube; (N, 2, {', '.join(map(str, size))})",
        "network": spec.network.model_dump(),
        "logit_without_candidates": logit_without_candidates(without["train"], labels),
        "training_patients": {"all": len(labels), "cancer": sum(labels), "without_candidates": len(without["train"])},
    }
    return Cohort(patients, spec.network, card)


def _volumes(spec: VolumeSystem, rows: Sequence[ScanRow], inputs: Path) -> Cohort:
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
        "network": network.model_dump(),
        "training_patients": {"all": len(training), "cancer": sum(int(row.label or 0) for row in training)},
    }
    return Cohort(patients, network, card)
