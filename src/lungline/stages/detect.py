"""Run the three U-Nets on a scan and average them (paper, section 4.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lungline.detection.slices import AXES
from lungline.imaging.acquisition import unlike
from lungline.imaging.intensity import scale_hu
from lungline.names import Precision
from lungline.runner.scan_stage import Made, run_scan_stage
from lungline.storage import hdf5
from lungline.storage.hdf5 import Code, Field


def run(
    caches: Path,
    output: Path,
    *,
    scans: list[str],
    detector: Path,
    keep_axes: bool = False,
    device: str = "auto",
    precision: Precision = "float32",
) -> None:
    """Search CACHES/{scan}.h5 of each of SCANS with DETECTOR/{z,y,x}/weights.safetensors, write OUTPUT/{scan}.h5.

    One process for many scans, because starting PyTorch costs more than searching a small chest.
    """
    for scan in scans:
        name = f"{scan}.h5"
        detect_scan(
            caches / name, output / name, detector=detector, keep_axes=keep_axes, device=device, precision=precision
        )


def detect_scan(
    cache: Path,
    output: Path,
    *,
    detector: Path,
    keep_axes: bool = False,
    device: str = "auto",
    precision: Precision = "float32",
) -> None:
    """Read `ct` of one scan, write `probability`: the mean of three axes, float16 0..1."""

    def make() -> Made:
        from lungline.detection.axis_ensemble import predict_nodules
        from lungline.device import make_repeatable, pick_device
        from lungline.storage.weights import pixels_trained_on, read_card
        from lungline.training.loading import load_unet

        make_repeatable(seed=0)
        where = pick_device(device)
        ct = hdf5.read_volume(cache, "ct")
        header = hdf5.read_header(cache)
        networks = {axis: load_unet(detector / axis, where, header.parameters) for axis in AXES}
        pixels = header.provenance.get("hu_sha256")
        seen = any(pixels in pixels_trained_on(read_card(detector / axis / "card.json")) for axis in AXES)
        volumes = predict_nodules(scale_hu(ct.array), networks, where, precision)
        kept = ("mean", *AXES) if keep_axes else ("mean",)
        fields = {
            "probability" if name == "mean" else f"probability_{name}": Field(
                volumes[name].astype(np.float16), "zyx", "1", f"nodule probability, {name}", ct.affine
            )
            for name in kept
        }
        codes = [Code("W_TRAINING_CASE", "the detector was trained on these pixels")] if seen else []
        learnt = read_card(detector / AXES[0] / "card.json").get("acquisition", {})
        if words := unlike(header.provenance.get("acquisition", {}), learnt):
            codes.append(Code("W_UNLIKE_TRAINING", words))
        return Made(fields, codes)

    run_scan_stage(
        "detect",
        "nodule_probability",
        output,
        make,
        scan_files={"cache": cache},
        other_files={f"weights_{axis}": detector / axis / "weights.safetensors" for axis in AXES},
        parameters={"keep_axes": keep_axes, "precision": precision},
    )
