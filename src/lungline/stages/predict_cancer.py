"""Score every patient of the sheet with a trained system: the maximum over his candidates."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch

from lungline.device import make_repeatable, pick_device
from lungline.io import hdf5
from lungline.io.predictions import ANSWER_COLUMNS
from lungline.io.seals import Origin, check, sealed_path
from lungline.io.sheet import read_sheet
from lungline.provenance import code_fingerprint
from lungline.training.models import load_cancer_net
from lungline.training.patients import patient_logits, read_cubes
from lungline.training.weights import read_card


def run(output: Path, *, model: Path, scans: Path, patches: Path, device: str = "auto") -> None:
    """Read the model folder MODEL and PATCHES of the scans of SCANS, write one CSV row a scan."""
    make_repeatable(seed=0)
    where = pick_device(device)
    network = load_cancer_net(model, where)
    nothing_found = float(read_card(model / "card.json")["logit_without_candidates"])
    rows = [(row.scan, patches / f"{row.scan}.h5") for row in read_sheet(scans)]
    files = {scan: path for scan, path in rows if path.is_file()}
    weights, card = model / "weights.safetensors", model / "card.json"
    same = {
        "weights_sha256": check(weights),
        "card_sha256": check(card),
        "code": code_fingerprint("lungline.stages.predict_cancer"),
    }
    origin = Origin("predict_cancer", (weights, card, *files.values()))
    with sealed_path(output, origin) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        table = csv.DictWriter(handle, ANSWER_COLUMNS, lineterminator="\n")
        table.writeheader()
        for scan, path in files.items():
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
            codes = ";".join(code.code for code in header.codes)
            own = {"input_sha256": header.provenance.get("raw_sha256", ""), "patches_sha256": check(path)}
            table.writerow({"scan": scan, "status": header.status, "codes": codes, **own, **same, **answer})
