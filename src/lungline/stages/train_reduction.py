"""Train the network that tells nodules among a detector's candidates from the rest."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import DetectorSpec
from lungline.config.settings import read_settings
from lungline.device import make_repeatable, pick_device, to_device
from lungline.errors import LunglineError
from lungline.names import Precision
from lungline.nodules.annotations import read_annotations
from lungline.storage import hdf5
from lungline.storage.manifest import read_sheet
from lungline.training.false_positive_reduction import CandidateBatches, look_at_candidates, read_labelled_candidates
from lungline.training.fitting import fit_and_write
from lungline.training.losses import cancer_loss


def run(
    output: Path,
    annotations: Path,
    *,
    detector: dict,
    scans: Path,
    caches: Path,
    detected: Path,
    candidates: Path,
    checkpoints: Path,
    seed: int,
    device: str = "auto",
    precision: Precision = "float32",
) -> None:
    """Read the CANDIDATES of the annotated scans of SCANS, write the model folder OUTPUT (weights, card, curve)."""
    spec = read_settings(DetectorSpec, detector, "detector").reduction
    if spec is None:
        raise LunglineError("this detector has no part 'reduction'. Add one to its entry in the configuration.")
    seed = spec.training.seed_in(seed)
    make_repeatable(seed)
    where = pick_device(device)
    moved = partial(to_device, device=where)
    nodules = read_annotations(annotations)
    size = spec.network.shape_zyx[0]
    used = {}
    for split in ("train", "valid"):
        searched = [
            row.scan
            for row in read_sheet(scans)
            if row.dataset == "luna16"
            and row.split == split
            and (candidates / f"{row.scan}.csv").is_file()
            and hdf5.read_header(detected / f"{row.scan}.h5").status != "quarantined"
        ]
        used[split] = [
            read_labelled_candidates(
                scan,
                caches / f"{scan}.h5",
                detected / f"{scan}.h5",
                candidates / f"{scan}.csv",
                [nodule for nodule in nodules if nodule.scan == scan],
                size,
            )
            for scan in searched
        ]
        kinds = {bool(kind) for scan in used[split] for kind in scan.is_nodule}
        if kinds != {True, False}:
            raise LunglineError(
                f"the candidates of the {len(searched)} annotated scans of the split '{split}' are all of one kind: "
                "a reduction network needs nodules and others. Lower candidates.threshold or leave 'reduction' out."
            )
    train = CandidateBatches(
        used["train"],
        batch=spec.training.batch,
        positive_share=spec.positive_share,
        seed=seed,
        distorted=spec.distort,
    )
    fit_and_write(
        output,
        CancerNet(spec.network),
        spec.training,
        make_batch=train.batch,
        loss_of=lambda model, batch: cancer_loss(model(moved(batch[0])).float(), moved(batch[1])),
        validate=lambda model: look_at_candidates(model, used["valid"], where, spec.positive_share),
        checkpoints=checkpoints,
        seed=seed,
        device=where,
        precision=precision,
        stage="train_reduction",
        card={
            "purpose": "nodule logit a candidate cube; ranks the candidates of a detector",
            "input": f"scaled HU 0..1 and nodule probability 0..1 in cubes of {size} voxels of 1 mm; (N, 2, D, H, W)",
            "detector": detector,
            "network": detector["reduction"].get("network", {}),
        },
        cases={
            split: {
                scan.scan: [caches / f"{scan.scan}.h5", detected / f"{scan.scan}.h5", candidates / f"{scan.scan}.csv"]
                for scan in used[split]
            }
            for split in used
        },
    )
