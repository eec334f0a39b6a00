"""Score every patient of the sheet with a trained system."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from lungline.device import make_repeatable, pick_device
from lungline.fingerprint import code_fingerprint
from lungline.imaging.acquisition import unlike
from lungline.storage import hdf5
from lungline.storage.checksums import Origin, check, sealed_path
from lungline.storage.manifest import read_sheet
from lungline.storage.predictions import ANSWER_COLUMNS
from lungline.storage.weights import pixels_trained_on, read_card
from lungline.training.scoring import load_scorer


def run(output: Path, *, model: Path, scans: Path, inputs: Path, device: str = "auto") -> None:
    """Read the model folder MODEL and INPUTS/{scan}.h5 of the scans of SCANS, write one CSV row a scan.

    INPUTS is the folder that the system's kind reads: candidate cubes, resized volumes, or caches.
    """
    make_repeatable(seed=0)
    score = load_scorer(model, pick_device(device))
    about = read_card(model / "card.json")
    seen = pixels_trained_on(about)
    rows = [(row, inputs / f"{row.scan}.h5") for row in read_sheet(scans)]
    files = [(row, path) for row, path in rows if path.is_file()]
    weights, card = model / "weights.safetensors", model / "card.json"
    same = {
        "weights_sha256": check(weights),
        "card_sha256": check(card),
        "code": code_fingerprint("lungline.stages.predict_cancer"),
    }
    origin = Origin("predict_cancer", (weights, card, *(path for _, path in files)))
    with sealed_path(output, origin) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        table = csv.DictWriter(handle, ANSWER_COLUMNS, lineterminator="\n")
        table.writeheader()
        for row, path in files:
            header = hdf5.read_header(path)
            answer: dict[str, object] = {}
            if header.status != "quarantined":
                said = score(path)
                header = replace(header, codes=header.codes + said.codes)
                answer = {
                    "logit": "" if said.logit is None else f"{said.logit:.9g}",
                    "probability": f"{said.probability:.9g}",
                    "n_candidates": said.n_candidates,
                    "deciding_rank": said.deciding_rank,
                    "candidate_logits": ";".join(f"{logit:.9g}" for logit in said.candidate_logits),
                }
                if said.interval:
                    answer |= dict(zip(("low", "high"), (f"{end:.9g}" for end in said.interval), strict=True))
            codes, status = dict.fromkeys(code.code for code in header.codes), header.status
            if row.split == "test" and status != "quarantined" and header.provenance.get("hu_sha256") in seen:
                codes["W_TRAINING_CASE"], status = None, "warned"
            if status != "quarantined" and unlike(
                header.provenance.get("acquisition", {}), about.get("acquisition", {})
            ):
                codes["W_UNLIKE_TRAINING"], status = None, "warned"
            own = {"input_sha256": header.provenance.get("raw_sha256", ""), "scored_sha256": check(path)}
            table.writerow({"scan": row.scan, "status": status, "codes": ";".join(codes), **own, **same, **answer})
