"""Train a system: Table 2 and Eq. 1 on candidate cubes or whole volumes, or count a baseline."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import ConstantSystem, PatchSystem
from lungline.errors import LunglineError
from lungline.names import known
from lungline.runner.stage import stage
from lungline.runner.usage import usage_so_far, write_usage
from lungline.storage.manifest import read_sheet
from lungline.storage.saved_config import read_saved_config
from lungline.training.cancer_task import CancerTask, write_baseline
from lungline.training.cases import SPLITS, gather, gather_nodules, read_rated_nodules
from lungline.training.loop import TrainingContext, fit
from lungline.training.model_folder import take_convolutions


@stage
def run(
    output: Path,
    *,
    config: Path,
    system: str,
    scans: Path,
    inputs: Path | None = None,
    start: Path | None = None,
    nodules: Path | None = None,
    checkpoints: Path,
    device: str = "auto",
    cost: Path | None = None,
) -> None:
    """Read INPUTS/{scan}.h5 of the labelled patients of SCANS, write the model folder OUTPUT (weights, card, curve).

    SYSTEM is an entry of `systems:` in CONFIG, the checked configuration that a run keeps (config.json).

    INPUTS is the folder that the system's kind reads: candidate cubes, resized volumes, or caches; a baseline none.
    START is the folder of the reduction network whose convolutions a system with `start: reduction` begins with.
    NODULES is the table of annotated nodules with a column `malignant`, for a system with `learn_from: nodules`.

    COST (.json) gets what this call took by the system's count: CPU seconds and the peak of memory.
    """
    settings, rows = read_saved_config(config), read_sheet(scans)
    spec = settings.systems[known(system, settings.systems, f"{config}: no system")]
    if isinstance(spec, ConstantSystem):
        labelled = {split: [row for row in rows if row.split == split and row.label is not None] for split in SPLITS}
        _refuse_none(labelled, scans)
        write_baseline(output, spec, labelled)
        return
    if isinstance(spec, PatchSystem) and (spec.start == "reduction") != (start is not None):
        raise LunglineError(f"this system starts from '{spec.start}'. Give --start with 'reduction', and only then.")
    if isinstance(spec, PatchSystem) and (spec.learn_from == "nodules") != (nodules is not None):
        raise LunglineError(f"this system learns from {spec.learn_from}. Give --nodules with 'nodules', and only then.")
    if inputs is None:
        raise LunglineError(f"a system of kind '{spec.kind}' reads files. Name their folder with --inputs.")
    context = TrainingContext.of(settings, spec.training, device, output, checkpoints)
    if isinstance(spec, PatchSystem) and nodules is not None:
        cohort = gather_nodules(spec, rows, inputs, read_rated_nodules(nodules))
    else:
        cohort = gather(spec, rows, inputs)
    _refuse_none(cohort.patients, scans)
    model = CancerNet(cohort.network)
    started_from = take_convolutions(model, start) if start else {}
    task = CancerTask(model, spec, cohort, context.seed, context.device, started_from)
    fit(task, spec.training, context)
    if cost is not None:
        write_usage(cost, *usage_so_far())


def _refuse_none(cases: Mapping[str, Sequence[object]], scans: Path) -> None:
    for split, some in cases.items():
        if not some:
            raise LunglineError(f"no labelled patient that can be used in the split '{split}' of {scans}.")
