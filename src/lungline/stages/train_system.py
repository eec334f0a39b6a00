"""Train a system: Table 2 and Eq. 1 on candidate cubes or whole volumes, or count a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lungline.device import make_repeatable, pick_device
from lungline.errors import LunglineError
from lungline.io.sheet import read_sheet
from lungline.models.cancer_net import CancerNet
from lungline.models.entries import ConstantSystem, read_system
from lungline.training.cohort import SPLITS, gather
from lungline.training.constant import write_constant
from lungline.training.failures import learned_all_negative, overfitted
from lungline.training.fitting import fit_and_write
from lungline.training.patients import PatientBatches, micro_batches, winner_loss
from lungline.training.validation import look_at_patients, probabilities


def run(
    output: Path,
    *,
    system: dict,
    scans: Path,
    inputs: Path | None = None,
    checkpoints: Path,
    seed: int,
    device: str = "auto",
) -> None:
    """Read INPUTS/{scan}.h5 of the labelled patients of SCANS, write the model folder OUTPUT (weights, card, curve).

    INPUTS is the folder that the system's kind reads: candidate cubes, resized volumes, or caches; a baseline none.
    """
    spec, rows = read_system(system), read_sheet(scans)
    if isinstance(spec, ConstantSystem):
        labelled = {split: [row for row in rows if row.split == split and row.label is not None] for split in SPLITS}
        _refuse_none(labelled, scans)
        write_constant(output, spec, labelled, system)
        return
    if inputs is None:
        raise LunglineError(f"a system of kind '{system['kind']}' reads files. Name their folder with --inputs.")
    make_repeatable(seed)
    where = pick_device(device)
    cohort = gather(spec, rows, inputs)
    _refuse_none(cohort.patients, scans)
    train, valid = cohort.patients["train"], cohort.patients["valid"]
    batches = PatientBatches(train, spec.training.batch, seed=seed)
    fit_and_write(
        output,
        CancerNet(cohort.network),
        spec.training,
        make_batch=batches.batch,
        split=lambda batch: micro_batches(batch, spec.training.micro_batch),
        loss_of=lambda model, batch: winner_loss(model, batch, where),
        validate=lambda model: look_at_patients(model, valid, where, cohort.pool),
        judge=lambda model, curve: [
            *learned_all_negative(*probabilities(model, valid, where, cohort.pool), "validation patients"),
            *overfitted(curve),
        ],
        checkpoints=checkpoints,
        seed=seed,
        device=where,
        stage="train_system",
        card={"system": system, **cohort.card},
        cases={split: {p.scan: [inputs / f"{p.scan}.h5"] for p in cohort.patients[split]} for split in SPLITS},
    )


def _refuse_none(patients: Mapping[str, Sequence[object]], scans: Path) -> None:
    for split, some in patients.items():
        if not some:
            raise LunglineError(f"no labelled patient that can be used in the split '{split}' of {scans}.")
