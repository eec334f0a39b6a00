"""Train a classifier: Table 2 and Eq. 1 on candidate cubes or whole volumes; of a baseline count the labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import BaselineClassifier, CandidateClassifier
from lungline.errors import LunglineError
from lungline.names import known
from lungline.runner.stage import stage
from lungline.runner.usage import usage_so_far, write_usage
from lungline.storage.saved_config import read_saved_config
from lungline.storage.scan_rows import read_manifest
from lungline.training.cancer_task import CancerTask, write_baseline
from lungline.training.cases import SPLITS, gather, gather_nodules, read_rated_nodules
from lungline.training.loop import TrainingContext, fit
from lungline.training.model_folder import refuse_other_beginning, take_convolutions, take_weights


@stage
def run(
    output: Path,
    *,
    config: Path,
    classifier: str,
    manifest: Path,
    inputs: Path | None = None,
    init_from: Path | None = None,
    nodules: Path | None = None,
    checkpoints: Path,
    device: str = "auto",
    cost: Path | None = None,
) -> None:
    """Read INPUTS/{scan}.h5 of the labelled patients of MANIFEST, write the model folder OUTPUT (weights, card, curve).

    CLASSIFIER is an entry of `classifiers:` in CONFIG, the checked configuration that a run keeps (config.json).

    INPUTS is the folder that the classifier's kind reads: candidate cubes, resized volumes, or caches; a baseline none.
    INIT_FROM is the folder of the weights that a classifier begins with: of the FPR network, whose convolutions are
    taken, with `init_from: fpr`, else of another classifier.
    NODULES is the table of annotated nodules with a column `malignant`, for a classifier with `supervision: nodules`.

    COST (.json) gets what this call took by the operating system's count: CPU seconds and the peak of memory.
    """
    settings, rows = read_saved_config(config), read_manifest(manifest)
    spec = settings.classifiers[known(classifier, settings.classifiers, f"{config}: no classifier")]
    if isinstance(spec, BaselineClassifier):
        labelled = {split: [row for row in rows if row.split == split and row.label is not None] for split in SPLITS}
        _refuse_none(labelled, manifest)
        write_baseline(output, spec, labelled)
        return
    begins = spec.init_from if isinstance(spec, CandidateClassifier) and spec.init_from != "random" else None
    refuse_other_beginning(begins, init_from)
    if isinstance(spec, CandidateClassifier) and (spec.supervision == "nodules") != (nodules is not None):
        raise LunglineError(
            f"this classifier learns from {spec.supervision}. Give --nodules with 'nodules', and only then."
        )
    if inputs is None:
        raise LunglineError(f"a classifier of kind '{spec.kind}' reads files. Name their folder with --inputs.")
    context = TrainingContext.of(settings, spec.training, device, output, checkpoints)
    if isinstance(spec, CandidateClassifier) and nodules is not None:
        cohort = gather_nodules(spec, rows, inputs, read_rated_nodules(nodules))
    else:
        cohort = gather(spec, rows, inputs)
    _refuse_none(cohort.patients, manifest)
    model = CancerNet(cohort.network)
    take = take_convolutions if begins == "fpr" else take_weights
    initialised_from = take(model, init_from) if init_from else {}
    task = CancerTask(model, spec, cohort, context.seed, context.device, initialised_from)
    fit(task, spec.training, context)
    if cost is not None:
        write_usage(cost, *usage_so_far())


def _refuse_none(cases: Mapping[str, Sequence[object]], manifest: Path) -> None:
    for split, some in cases.items():
        if not some:
            raise LunglineError(f"no labelled patient that can be used in the split '{split}' of {manifest}.")
