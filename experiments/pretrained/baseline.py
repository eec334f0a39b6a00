"""The paper's configuration on the same scans: three U-Nets averaged, 0.8, candidates ranked by the sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from experiments.pretrained.implanted import folder_of, scans_of
from lungline.detection.axis_ensemble import predict_nodules
from lungline.detection.candidates import extract_candidates, write_candidates
from lungline.detection.slices import AXES
from lungline.imaging.intensity import scale_hu
from lungline.imaging.volume import Volume
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.model_folder import load_unet

THRESHOLD = 0.8  # the paper's; candidates are ranked by the sum of probability


def search(results: Path, detector: str, output: Path) -> Path:
    """Mean probability and candidates of every test scan: in which folder. What is there is kept."""
    folders = {axis: results / "train_unet" / detector / axis for axis in AXES}
    output = folder_of(output, *(folder / "card.json" for folder in folders.values()))
    device = torch.device("cpu")
    for scan in scans_of(results, "test"):
        cache, table = results / "cache_volume" / f"{scan}.h5", output / f"{scan}.csv"
        if table.is_file():
            continue
        ct = hdf5.read_volume(cache, "ct")
        networks = {axis: load_unet(folder, device) for axis, folder in folders.items()}
        found = predict_nodules(scale_hu(ct.array), networks, device, "auto")["mean"]
        field = Field(found.astype(np.float16), "zyx", "1", "nodule probability", ct.affine)
        hdf5.write_file(output / f"{scan}.h5", Header("nodule_probability", "detect"), {"probability": field})
        candidates, _ = extract_candidates(Volume(found, ct.affine), threshold=THRESHOLD, count=10_000, rank_by="sum")
        write_candidates(table, scan, candidates)
    return output
