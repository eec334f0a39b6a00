"""Train the cancer network of a system on its candidates (paper, section 4.2, Table 2, Eq. 1)."""

from __future__ import annotations

from pathlib import Path

from lungline.device import make_repeatable, pick_device
from lungline.errors import LunglineError
from lungline.io.sheet import read_sheet
from lungline.models.cancer_net import CancerNet
from lungline.models.specs import SystemSpec
from lungline.training.fitting import fit_and_write
from lungline.training.patients import PatientBatches, PatientCubes, logit_without_candidates, read_cubes, winner_loss
from lungline.training.validation import look_at_patients


def run(
    output: Path, *, system: dict, scans: Path, patches: Path, checkpoints: Path, seed: int, device: str = "auto"
) -> None:
    """Read PATCHES of the labelled patients of SCANS, write the model folder OUTPUT (weights, card, learning curve)."""
    spec = SystemSpec.from_config(system)
    make_repeatable(seed)
    where = pick_device(device)
    used: dict[str, list[PatientCubes]] = {"train": [], "valid": []}
    without: dict[str, list[int]] = {"train": [], "valid": []}
    for row in read_sheet(scans):
        if row.split not in used or row.label is None or not (patches / f"{row.scan}.h5").is_file():
            continue
        cubes = read_cubes(patches / f"{row.scan}.h5", spec.network)
        if cubes is not None and len(cubes):
            used[row.split].append(PatientCubes(row.scan, row.label, cubes))
        elif cubes is not None:
            without[row.split].append(row.label)
    for split, patients in used.items():
        if not patients:
            raise LunglineError(f"no labelled patient with a candidate in the split '{split}' of {scans}.")
    labels = [patient.label for patient in used["train"]] + without["train"]
    train = PatientBatches(used["train"], spec.training.batch, augment=spec.augment, seed=seed)
    fit_and_write(
        output,
        CancerNet(spec.network),
        spec.training,
        make_batch=train.batch,
        loss_of=lambda model, batch: winner_loss(model, batch, where),
        validate=lambda model: look_at_patients(model, used["valid"], where),
        checkpoints=checkpoints,
        seed=seed,
        device=where,
        stage="train_system",
        card={
            "purpose": "cancer logit a candidate cube; a patient's logit is the maximum over the candidates",
            "input": "scaled HU 0..1 and nodule probability 0..1 in cubes of 32 mm; (N, 2, 32, 32, 32)",
            "system": system,
            "network": system.get("network", {}),
            "logit_without_candidates": logit_without_candidates(without["train"], labels),
            "training_patients": {
                "all": len(labels),
                "cancer": sum(labels),
                "without_candidates": len(without["train"]),
            },
        },
        cases={split: {p.scan: [patches / f"{p.scan}.h5"] for p in patients} for split, patients in used.items()},
    )
