"""Train the U-Net of one axis (paper, section 4.2, Eq. 2)."""

from dataclasses import replace
from pathlib import Path

from lungline.detection.slices import Axis
from lungline.detection.unet import UNet
from lungline.names import known
from lungline.runner.stage import stage
from lungline.runner.usage import usage_so_far, write_usage
from lungline.storage.saved_config import read_saved_config
from lungline.storage.scan_rows import read_manifest
from lungline.training.distributed import process_group
from lungline.training.loop import TrainingContext, fit
from lungline.training.model_folder import refuse_other_beginning, take_weights
from lungline.training.unet_task import SliceCrops, UNetTask, find_training_scans


@stage
def run(
    output: Path,
    *,
    axis: Axis,
    config: Path,
    detector: str,
    manifest: Path,
    caches: Path,
    masks: Path,
    init_from: Path | None = None,
    checkpoints: Path,
    device: str = "auto",
    cost: Path | None = None,
) -> None:
    """Read CACHES and MASKS of the annotated scans of MANIFEST, write the model folder OUTPUT (weights, card, curve).

    DETECTOR is an entry of `detectors:` in CONFIG, the checked configuration that a run keeps (config.json).

    INIT_FROM is the folder of the trained U-Net whose weights a detector with `init_from` begins with.

    Several processes train together where `torchrun --standalone --nproc-per-node N -m lungline.cli train-unet ...`
    starts them; OMP_NUM_THREADS are the cores of all of them.

    COST (.json) gets what this call took by the operating system's count: CPU seconds and the peak of memory.
    """
    settings = read_saved_config(config)
    spec = settings.detectors[known(detector, settings.detectors, f"{config}: no detector")]
    refuse_other_beginning(spec.init_from, init_from)
    context = TrainingContext.of(settings, spec.training, device, output, checkpoints)
    rows = [row for row in read_manifest(manifest) if (masks / f"{row.scan}.h5").is_file()]

    def crops(split: str) -> SliceCrops:
        used = find_training_scans([row.scan for row in rows if row.split == split], caches, masks)
        return SliceCrops(used, axis, spec.network.slices, spec.sampling, context.seed)

    with process_group(context.device) as group:
        model, part = UNet(spec.network), group.part(spec.training.batch)
        begun = take_weights(model, init_from) if init_from else {}
        task = UNetTask(model, spec, crops("train"), crops("valid"), context.device, part, begun)
        fit(task, spec.training, replace(context, group=group))
        used = group.sum_and_largest(*usage_so_far())
        if cost is not None and group.is_main:
            write_usage(cost, *used)
