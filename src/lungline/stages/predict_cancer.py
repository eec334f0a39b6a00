"""Score every patient of the manifest with a trained classifier."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lungline.device import make_repeatable, pick_device
from lungline.fingerprint import code_fingerprint
from lungline.imaging.acquisition import unlike
from lungline.names import SCORE_NAMES, supervision_of
from lungline.runner.stage import stage
from lungline.storage import hdf5
from lungline.storage.checksums import check, checksummed_path
from lungline.storage.predictions import ANSWER_COLUMNS
from lungline.storage.scan_rows import ScanRow, read_manifest
from lungline.storage.weights import pixels_trained_on, read_card
from lungline.training.scoring import Scorer, load_scorer


@stage
def run(output: Path, *, model: Path, manifest: Path, inputs: Path, device: str) -> None:
    """Read the model folder MODEL and INPUTS/{scan}.h5 of the scans of MANIFEST, write one CSV row per scan.

    INPUTS is the folder that the classifier's kind reads: candidate cubes, resized volumes, or caches.
    """
    make_repeatable(seed=0)
    score = load_scorer(model, pick_device(device))
    card = read_card(model / "card.json")
    same = {
        "weights_sha256": check(model / "weights.safetensors"),
        "card_sha256": check(model / "card.json"),
        "code": code_fingerprint("lungline.stages.predict_cancer"),
    }
    with checksummed_path(output) as temporary, open(temporary, "w", newline="", encoding="utf-8") as handle:
        table = csv.DictWriter(handle, ANSWER_COLUMNS, lineterminator="\n")
        table.writeheader()
        for row in read_manifest(manifest):
            if (path := inputs / f"{row.scan}.h5").is_file():
                table.writerow({"scan": row.scan, **_answered(row, path, score, card), **same})


def _answered(row: ScanRow, path: Path, score: Scorer, card: Mapping[str, Any]) -> dict[str, object]:
    """The columns of one patient: flags and status, and the answer if the scan can be used."""
    header = hdf5.read_header(path)
    about, status, flags = header.provenance, header.status, [flag.flag for flag in header.flags]
    found: dict[str, object] = {"input_sha256": about.get("raw_sha256", ""), "scored_sha256": check(path)}
    if status != "quarantined":
        answer = score(path)
        flags += [flag.flag for flag in answer.flags]
        if row.split == "test" and about.get("hu_sha256") in pixels_trained_on(card):
            flags.append("W_TRAINING_CASE")
        if unlike(about.get("acquisition", {}), card.get("acquisition", {})):
            flags.append("W_UNLIKE_TRAINING")
        status = "warned" if any(flag.startswith("W_") for flag in flags) else "ok"
        found |= {
            "logit": "" if answer.logit is None else f"{answer.logit:.9g}",
            SCORE_NAMES[supervision_of(card)]: f"{answer.score:.9g}",
            "n_candidates": answer.n_candidates,
            "deciding_rank": answer.deciding_rank,
            "candidate_logits": ";".join(f"{logit:.9g}" for logit in answer.candidate_logits),
        }
        if answer.interval:
            found |= dict(zip(("low", "high"), (f"{end:.9g}" for end in answer.interval), strict=True))
    return {**found, "status": status, "flags": ";".join(dict.fromkeys(flags))}
