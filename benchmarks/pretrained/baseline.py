"""The paper's configuration on the same scans, as far as it was trained: here its axial network alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from benchmarks.pretrained.inserted import scans_of
from lungline.io import hdf5
from lungline.io.hdf5 import Field, Header
from lungline.nodules.candidates import extract_candidates, write_candidates
from lungline.nodules.detector import predict_axis
from lungline.preprocess.intensity import scale_hu
from lungline.training.models import load_unet
from lungline.volume import Volume

THRESHOLD = 0.8  # the paper's; candidates are ranked by the sum of probability


def search(results: Path, detector: str, output: Path) -> None:
    """Probability along z and candidates of every test scan, OUTPUT/{scan}.h5 and .csv; what is there is kept."""
    device = torch.device("cpu")
    for scan in scans_of(results, "test"):
        cache, table = results / "cache_volume" / f"{scan}.h5", output / f"{scan}.csv"
        if table.is_file():
            continue
        ct, made_by = hdf5.read_volume(cache, "ct"), hdf5.read_header(cache).parameters
        network = load_unet(results / "train_unet" / detector / "z", device, made_by)
        found = predict_axis(scale_hu(ct.array), network, "z", device, "auto")
        field = Field(found.astype(np.float16), "zyx", "1", "nodule probability along z", ct.affine)
        hdf5.write_file(output / f"{scan}.h5", Header("nodule_probability", "detect"), {"probability": field})
        candidates = extract_candidates(Volume(found, ct.affine), threshold=THRESHOLD, count=10_000, rank_by="sum")
        write_candidates(table, scan, candidates)
