"""Train a detector's false-positive reduction: a network that ranks its candidates."""

from pathlib import Path

from lungline.classification.cancer_net import CancerNet
from lungline.errors import LunglineError
from lungline.names import known
from lungline.nodules.annotations import read_annotations
from lungline.runner.stage import stage
from lungline.runner.usage import usage_so_far, write_usage
from lungline.storage import hdf5
from lungline.storage.checksums import unrecorded
from lungline.storage.saved_config import read_saved_config
from lungline.storage.scan_rows import read_manifest
from lungline.training.false_positive_reduction import CandidateCubes, FprTask, read_labelled_candidates
from lungline.training.loop import TrainingContext, fit
from lungline.training.model_folder import refuse_other_beginning, take_weights


@stage
def run(
    output: Path,
    annotations: Path,
    *,
    config: Path,
    detector: str,
    manifest: Path,
    caches: Path,
    detected: Path,
    candidates: Path,
    init_from: Path | None = None,
    checkpoints: Path,
    device: str = "auto",
    cost: Path | None = None,
) -> None:
    """Read the CANDIDATES of the annotated scans of MANIFEST, write the model folder OUTPUT (weights, card, curve).

    DETECTOR is an entry of `detectors:` in CONFIG, the checked configuration that a run keeps (config.json).

    INIT_FROM is the folder of the trained FPR network whose weights that of a detector with `init_from` begins with.

    COST (.json) gets what this call took by the operating system's count: CPU seconds and the peak of memory.
    """
    settings = read_saved_config(config)
    entry = settings.detectors[known(detector, settings.detectors, f"{config}: no detector")]
    if (spec := entry.fpr) is None:
        raise LunglineError(f"{config}: detector '{detector}' has no part 'fpr'. Add one to its entry.")
    refuse_other_beginning(entry.init_from, init_from)
    context = TrainingContext.of(settings, spec.training, device, output, checkpoints)
    rows, nodules = read_manifest(manifest), read_annotations(annotations)

    def files(scan: str) -> tuple[Path, Path, Path]:
        return caches / f"{scan}.h5", detected / f"{scan}.h5", candidates / f"{scan}.csv"

    def labelled(split: str) -> list[CandidateCubes]:
        searched = [row.scan for row in rows if row.dataset == "luna16" and row.split == split]
        found = []
        for scan in (scan for scan in searched if files(scan)[2].is_file()):
            with unrecorded():
                usable = hdf5.read_header(detected / f"{scan}.h5").status != "quarantined"
            if usable:
                own = [nodule for nodule in nodules if nodule.scan == scan]
                found.append(read_labelled_candidates(scan, *files(scan), own, spec.network.shape_zyx[0]))
        if {bool(kind) for scan in found for kind in scan.is_nodule} != {True, False}:
            raise LunglineError(
                f"the candidates of the {len(found)} annotated scans of the split '{split}' are all of one kind: "
                "an FPR network needs nodules and others. Lower candidates.threshold or leave 'fpr' out."
            )
        return found

    train, valid = labelled("train"), labelled("valid")
    used = {"train": train, "valid": valid}
    cases = {split: {scan.scan: files(scan.scan) for scan in own} for split, own in used.items()}
    model = CancerNet(spec.network)
    begun = take_weights(model, init_from) if init_from else {}
    task = FprTask(model, spec, entry, train, valid, cases, context.seed, context.device, begun)
    fit(task, spec.training, context)
    if cost is not None:
        write_usage(cost, *usage_so_far())
