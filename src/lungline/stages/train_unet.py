"""Train the U-Net of one axis (paper, section 4.2, Eq. 2)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lungline.config.entries import DetectorSpec
from lungline.config.settings import read_settings
from lungline.detection.slices import Axis
from lungline.detection.unet import UNet
from lungline.device import make_repeatable, pick_device, to_device
from lungline.names import Precision
from lungline.storage import hdf5
from lungline.storage.manifest import read_sheet
from lungline.training.distributed import joined
from lungline.training.fitting import fit_and_write
from lungline.training.losses import nodule_loss
from lungline.training.slice_crops import SliceCrops, find_training_scans
from lungline.training.validation import look_at_crops


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
    spec = read_settings(DetectorSpec, detector, "detector")
    seed = spec.training.seed_in(seed)
    make_repeatable(seed)
    where = pick_device(device)
    moved = partial(to_device, device=where)
    rows = [row for row in read_sheet(scans) if (masks / f"{row.scan}.h5").is_file()]
    used = {
        split: find_training_scans([row.scan for row in rows if row.split == split], caches, masks)
        for split in ("train", "valid")
    }
    train, valid = (SliceCrops(used[split], axis, spec.network.slices, spec.sampling, seed) for split in used)
    loss, size = {"positive": spec.loss.positive, "negative": spec.loss.negative}, spec.training.batch
    with joined(where) as team:
        mine = team.part(size)
        fit_and_write(
            output,
            UNet(spec.network),
            spec.training,
            make_batch=lambda step: train.batch(step, size, mine),
            loss_of=lambda model, batch: nodule_loss(model(moved(batch[0])), moved(batch[1]), **loss),
            validate=lambda model: look_at_crops(model, valid, size, where, **loss),
            checkpoints=checkpoints,
            seed=seed,
            device=where,
            precision=precision,
            stage="train_unet",
            card={
                "purpose": f"nodule logit a pixel of the slices along {axis}",
                "input": "scaled HU 0..1 of the 1 mm lung box, -1000 HU outside the mask; (N, slices, H, W)",
                "axis": axis,
                "cache": hdf5.read_header(used["train"][0].cache).parameters,
                "detector": detector,
                "network": detector.get("network", {}),
            },
            cases={split: {scan.scan: [scan.cache, scan.mask] for scan in used[split]} for split in used},
            split=lambda batch: [(len(mine) / size, batch)],
            team=team,
        )
