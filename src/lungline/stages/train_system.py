"""Train a system: Table 2 and Eq. 1 on candidate cubes or whole volumes, or count a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.special import expit as sigmoid

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import ConstantSystem, PatchSystem, read_system
from lungline.device import make_repeatable, pick_device
from lungline.errors import LunglineError
from lungline.names import Precision
from lungline.storage.hdf5 import Code
from lungline.storage.manifest import read_sheet
from lungline.training.calibration import fit_scale_and_shift, resampled_fits
from lungline.training.cases import SPLITS, gather
from lungline.training.constant import write_constant
from lungline.training.failures import learned_all_negative, overfitted
from lungline.training.fitting import fit_and_write
from lungline.training.hand_crafted_fit import fit_measured
from lungline.training.loading import take_convolutions
from lungline.training.loop import Look
from lungline.training.nodule_cases import gather_nodules, read_rated_nodules
from lungline.training.patients import PatientBatches, micro_batches, patient_loss
from lungline.training.validation import labels_and_logits, look_at_patients


def run(
    output: Path,
    *,
    system: dict,
    scans: Path,
    inputs: Path | None = None,
    start: Path | None = None,
    nodules: Path | None = None,
    checkpoints: Path,
    seed: int,
    device: str = "auto",
    precision: Precision = "float32",
) -> None:
    """Read INPUTS/{scan}.h5 of the labelled patients of SCANS, write the model folder OUTPUT (weights, card, curve).

    INPUTS is the folder that the system's kind reads: candidate cubes, resized volumes, or caches; a baseline none.
    START is the folder of the reduction network whose convolutions a system with `start: reduction` begins with.
    NODULES is the table of annotated nodules with a column `malignant`, for a system with `learn_from: nodules`.
    """
    spec, rows = read_system(system), read_sheet(scans)
    if isinstance(spec, ConstantSystem):
        labelled = {split: [row for row in rows if row.split == split and row.label is not None] for split in SPLITS}
        _refuse_none(labelled, scans)
        write_constant(output, spec, labelled, system)
        return
    if isinstance(spec, PatchSystem) and (spec.start == "reduction") != (start is not None):
        raise LunglineError(f"this system starts from '{spec.start}'. Give --start with 'reduction', and only then.")
    if isinstance(spec, PatchSystem) and (spec.learn_from == "nodules") != (nodules is not None):
        raise LunglineError(f"this system learns from {spec.learn_from}. Give --nodules with 'nodules', and only then.")
    if inputs is None:
        raise LunglineError(f"a system of kind '{system['kind']}' reads files. Name their folder with --inputs.")
    seed = spec.training.seed_in(seed)
    make_repeatable(seed)
    where = pick_device(device)
    if isinstance(spec, PatchSystem) and nodules is not None:
        cohort = gather_nodules(spec, rows, inputs, read_rated_nodules(nodules))
    else:
        cohort = gather(spec, rows, inputs)
    _refuse_none(cohort.patients, scans)
    train, valid = cohort.patients["train"], cohort.patients["valid"]
    batches = PatientBatches(train, spec.training.batch, seed=seed)
    model = CancerNet(cohort.network)
    begun = take_convolutions(model, start) if start else {}
    turns = spec.turns if isinstance(spec, PatchSystem) else 1

    def judge(_: object, curve: Sequence[Look]) -> list[Code]:
        labels, logits = labels_and_logits(model, valid, where, precision=precision)
        return [*learned_all_negative(labels, sigmoid(logits), "validation patients"), *overfitted(curve)]

    def finish(_: object) -> dict[str, object]:
        said: dict[str, object] = {}
        if model.measured is not None:
            said["measured"] = fit_measured(model, train, where, turns, precision)
        if isinstance(spec, PatchSystem) and spec.calibrate:
            answers = labels_and_logits(model, valid, where, turns, precision)
            scale, shift = fit_scale_and_shift(*answers)
            fits = resampled_fits(*answers, seed=seed)
            own = {"scale": scale, "shift": shift, "on": "valid", "cases": len(valid), "resampled": fits}
            said["calibration"] = own
        return said

    fit_and_write(
        output,
        model,
        spec.training,
        make_batch=batches.batch,
        split=lambda batch: micro_batches(batch, spec.training.micro_batch),
        loss_of=lambda _, batch: patient_loss(model, batch, where),
        validate=lambda _: look_at_patients(model, valid, where),
        judge=judge,
        finish=finish,
        checkpoints=checkpoints,
        seed=seed,
        device=where,
        precision=precision,
        stage="train_system",
        card={"system": system, **cohort.card, **begun},
        cases={split: {p.scan: [inputs / f"{p.scan}.h5"] for p in cohort.patients[split]} for split in SPLITS},
    )


def _refuse_none(patients: Mapping[str, Sequence[object]], scans: Path) -> None:
    for split, some in patients.items():
        if not some:
            raise LunglineError(f"no labelled patient that can be used in the split '{split}' of {scans}.")
