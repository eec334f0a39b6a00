"""Run the three U-Nets on a scan and average them (paper, section 4.2)."""

from pathlib import Path

import numpy as np

from lungline.detection.axis_ensemble import predict_nodules
from lungline.detection.slices import AXES
from lungline.device import make_repeatable, pick_device
from lungline.imaging.acquisition import unlike
from lungline.imaging.intensity import scale_hu
from lungline.names import Precision
from lungline.runner.stage import Made, ScanFile, scan_stage, stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag
from lungline.storage.weights import pixels_trained_on, read_card
from lungline.training.model_folder import load_unet, refuse_other_caches


@stage
def run(
    caches: Path,
    output: Path,
    *,
    scans: list[str],
    detector: Path,
    precision: Precision,
    device: str,
    slice_step: int = 1,
    slice_box: bool = False,
    keep_axes: bool = False,
) -> None:
    """Search CACHES/{scan}.h5 of each of SCANS with DETECTOR/{z,y,x}/weights.safetensors, write OUTPUT/{scan}.h5.

    Along each axis one slice in SLICE_STEP is searched, and the probability between them interpolated; with SLICE_BOX
    each of them in the box of its own lungs alone. One process for many scans, because starting PyTorch costs more than
    searching a small chest.
    """
    make_repeatable(seed=0)
    where = pick_device(device)
    networks = {axis: load_unet(detector / axis, where) for axis in AXES}
    cards = {axis: read_card(detector / axis / "card.json") for axis in AXES}

    @scan_stage("nodule_probability")
    def search(cache: ScanFile, *, keep_axes: bool, precision: Precision, slice_step: int, slice_box: bool) -> Made:
        """Read `ct` of one scan, write `probability`: the mean of three axes, float16 0..1."""
        header, ct = hdf5.read_header(cache), hdf5.read_volume(cache, "ct")
        for axis in AXES:
            refuse_other_caches(detector / axis, cards[axis], header.parameters)
        volumes = predict_nodules(
            scale_hu(ct.array), networks, where, precision, slice_step=slice_step, slice_box=slice_box
        )
        fields = {}
        for name in ("mean", *AXES) if keep_axes else ("mean",):
            field = Field(volumes[name].astype(np.float16), "zyx", "1", f"nodule probability, {name}", ct.affine)
            fields["probability" if name == "mean" else f"probability_{name}"] = field
        flags = []
        if any(header.provenance.get("hu_sha256") in pixels_trained_on(card) for card in cards.values()):
            flags.append(Flag("W_TRAINING_CASE", "the detector was trained on these pixels"))
        if difference := unlike(header.provenance.get("acquisition", {}), cards[AXES[0]].get("acquisition", {})):
            flags.append(Flag("W_UNLIKE_TRAINING", difference))
        return Made(fields, flags)

    for scan in scans:
        search(
            caches / f"{scan}.h5",
            output / f"{scan}.h5",
            keep_axes=keep_axes,
            precision=precision,
            slice_step=slice_step,
            slice_box=slice_box,
        )
