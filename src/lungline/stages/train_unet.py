"""Train the U-Net of one axis (paper, section 4.2, Eq. 2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lungline.config.entries import DetectorSpec
from lungline.detection.slices import Axis
from lungline.detection.unet import UNet
from lungline.device import make_repeatable, pick_device
from lungline.names import Precision
from lungline.runner.stage import stage
from lungline.storage.manifest import read_sheet
from lungline.training.distributed import process_group
from lungline.training.loop import TrainingContext, fit
from lungline.training.slice_crops import SliceCrops, find_training_scans
from lungline.training.unet_task import UNetTask


@stage
def run(
    output: Path,
    *,
    axis: Axis,
    detector: dict,
    scans: Path,
    caches: Path,
    masks: Path,
    checkpoints: Path,
    seed: int,
    device: str = "auto",
    precision: Precision = "float32",
) -> None:
    """Read CACHES and MASKS of the annotated scans of SCANS, write the model folder OUTPUT (weights, card, curve).

    Several processes train together where `torchrun --standalone --nproc-per-node N -m lungline.cli train-unet ...`
    starts them; OMP_NUM_THREADS are the cores of all of them.
    """
    spec = DetectorSpec.from_config(detector)
    schedule = spec.training
    context = TrainingContext(output, checkpoints, schedule.seed_in(seed), pick_device(device), precision)
    make_repeatable(context.seed)
    rows = [row for row in read_sheet(scans) if (masks / f"{row.scan}.h5").is_file()]

    def crops(split: str) -> SliceCrops:
        used = find_training_scans([row.scan for row in rows if row.split == split], caches, masks)
        return SliceCrops(used, axis, spec.network.slices, spec.sampling, context.seed)

    with process_group(context.device) as group:
        model, part = UNet(spec.network), group.part(schedule.batch)
        task = UNetTask(model, spec, detector, crops("train"), crops("valid"), context.device, part)
        fit(task, schedule, replace(context, group=group))
