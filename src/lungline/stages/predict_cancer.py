"""Score every patient of the sheet with a trained system: the maximum over his candidates."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch

from lungline.device import make_repeatable, pick_device
from lungline.io import hdf5
from lungline.io.atomic import atomic_path
from lungline.io.predictions import ANSWER_COLUMNS
from lungline.io.sheet import read_sheet
from lungline.training.models import load_cancer_net
from lungline.training.patients import patient_logits, read_cubes
from lungline.training.weights import pixels_trained_on, read_card


def run(output: Path, *, model: Path, scans: Path, patches: Path, device: str = "auto") -> None:
    """Read the model folder MODEL and PATCHES of the scans of SCANS, write one CSV row a scan."""
    make_repeatable(seed=0)
    where = pick_device(device)
    network = load_cancer_net(model, where)
    card = read_card(model / "card.json")
    nothing_found, seen = float(card["logit_without_candidates"]), pixels_trained_on(card)
    with atomic_path(output) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        table = csv.DictWriter(handle, ANSWER_COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in read_sheet(scans):
            path = patches / f"{row.scan}.h5"
            if not path.is_file():
                continue
            header = hdf5.read_header(path)
            cubes = read_cubes(path, network.spec)
            answer: dict[str, object] = {"n_candidates": 0 if cubes is None else len(cubes)}
            if cubes is not None:
                logit, rank = nothing_found, 0
                if len(cubes):
                    with torch.inference_mode():
                        logits = patient_logits(network, torch.from_numpy(cubes).to(where).float())
                    logit, rank = float(logits.max()), int(logits.argmax()) + 1
                answer |= {
                    "logit": f"{logit:.9g}",
                    "probability": f"{1 / (1 + math.exp(-logit)):.9g}",
                    "deciding_rank": rank or "",
                }
            codes, status = dict.fromkeys(code.code for code in header.codes), header.status
            if row.split == "test" and cubes is not None and header.provenance.get("hu_sha256") in seen:
                codes["W_TRAINING_CASE"], status = None, "warned"
            raw = header.provenance.get("raw_sha256", "")
            answer |= {"status": status, "codes": ";".join(codes), "input_sha256": raw}
            table.writerow({"scan": row.scan, **answer})
