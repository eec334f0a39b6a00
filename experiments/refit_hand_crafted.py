"""Weigh the hand-crafted features of the packaged classifier anew, and calibrate it, on the scans that it learned from.

`python -m experiments.refit_hand_crafted RESULTS [JOBS]`: RESULTS is the folder of `config/pretrained.yaml`, of which
the implanted scans (`implanted/`) with their table `implanted/nodules.csv` are needed. They are searched as `lungline
predict` does, with the packaged networks, JOBS at a time; cubes and measurements stay in RESULTS/refit_hand_crafted, so
an interrupted call goes on where it stopped.

As in a training, `hand_crafted_features` is fitted to the training cases and the calibration to the validation cases of
the card. Weights, card and bundle manifest of the package are written anew; no other tensor is touched.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import CandidateClassifier, read_classifier
from lungline.stages import (
    cache_volume,
    crop_patches,
    detect,
    extract_candidates,
    ingest,
    rank_candidates,
    resample,
    segment_lungs,
)
from lungline.storage.checksums import check, checksum_path
from lungline.storage.scan_rows import ScanRow
from lungline.storage.weights import read_card, read_tensors, write_card, write_tensors
from lungline.training.calibration import fit_hand_crafted, fit_scale_and_shift, resampled_fits
from lungline.training.cases import gather_nodules, read_rated_nodules
from lungline.training.model_folder import load_cancer_net
from lungline.training.patients import Patient, labels_and_logits
from lungline.workflow.bundle import PACKAGED, read_bundle, write_bundle

CPU = torch.device("cpu")
SPLITS = ("train", "valid")


def main(results: Path, jobs: int = 1) -> None:
    """Search what is not searched yet, fit, write the package; says how many of the card's scans took part."""
    classifier = PACKAGED.parent / "classifier"
    card, made = read_card(classifier / "card.json"), results / "refit_hand_crafted"
    rows = [ScanRow(scan, "mhd", "luna16", split) for split in SPLITS for scan in card["cases"][split]]
    raw = {path.stem: path for path in results.glob("implanted/luna16/subset*/*.mhd")}
    missing = [row.scan for row in rows if row.scan in raw and not (made / f"{row.scan}.h5").is_file()]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for scan in pool.map(search, missing, [raw[scan] for scan in missing], [made] * len(missing)):
            print(f"{scan}: searched", flush=True)
    spec = read_classifier(card["classifier"])
    assert isinstance(spec, CandidateClassifier)
    cases = gather_nodules(spec, rows, made, read_rated_nodules(results / "implanted" / "nodules.csv")).patients
    took_part = {split: sorted({case.scan for case in cases[split]}) for split in SPLITS}
    for split, scans in took_part.items():
        print(f"{split}: {len(scans)} of {len(card['cases'][split])} scans, {len(cases[split])} candidates")
    network = load_cancer_net(classifier, CPU)
    found = {"hand_crafted_features_fitted_on": took_part} | fitted(
        network, cases, spec.test_time_augmentation, card["seed"]
    )
    print(found["hand_crafted_features"], {name: found["calibration"][name] for name in ("scale", "shift", "cases")})
    write(classifier, network, card | found)


def search(scan: str, raw: Path, made: Path) -> str:
    """Write MADE/{scan}.h5, the cubes and measurements of one scan, by the packaged pipeline; its name comes back."""
    recipe = read_bundle(PACKAGED)
    settings = recipe.settings
    assert recipe.detector is not None
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=made.parent, prefix=".refit-") as folder:
        work = Path(folder)
        read, volume, lungs, cache, found = (
            work / step / f"{scan}.h5" for step in ("ingest", "resample", "lungs", "cache", "detect")
        )
        ingest.run(raw, read, source="mhd")
        resample.run(read, volume, **settings["resample"])
        segment_lungs.run(volume, lungs, **settings["segment_lungs"])
        cache_volume.run(volume, lungs, cache, **settings["cache_volume"])
        searched: dict[str, Any] = {"caches": cache.parent, "detected": found.parent}
        options: dict[str, Any] = {"scans": [scan], "device": "cpu"}
        detect.run(cache.parent, found.parent, detector=recipe.detector, **options, **settings["detect"])
        extract_candidates.run(found.parent, work / "wide", scans=[scan], **settings["extract_candidates"])
        rank_candidates.run(
            work / "wide",
            work / "ranked",
            fpr=recipe.detector / "fpr",
            **searched,
            **options,
            **settings["rank_candidates"],
        )
        crop_patches.run(
            made,
            scans=[scan],
            candidates=work / "ranked",
            labels=work / "wide",
            **searched,
            **settings["crop_patches"],
        )
    return scan


def fitted(
    network: CancerNet, cases: Mapping[str, Sequence[Patient]], test_time_augmentation: int, seed: int
) -> dict[str, Any]:
    """Set `network.hand_crafted_features`, as it is stored; the entries of the card on it and on the calibration."""
    assert network.hand_crafted_features is not None
    measured = fit_hand_crafted(network, cases["train"], CPU, test_time_augmentation)
    for buffer in network.hand_crafted_features.buffers():
        buffer.copy_(buffer.half())
    answers = labels_and_logits(network, cases["valid"], CPU, test_time_augmentation)
    scale, shift = fit_scale_and_shift(*answers)
    about = {"scale": scale, "shift": shift, "on": "valid", "cases": len(cases["valid"])}
    return {
        "hand_crafted_features": measured,
        "calibration": about | {"resampled": resampled_fits(*answers, seed=seed)},
    }


def write(classifier: Path, network: CancerNet, card: Mapping[str, Any]) -> None:
    """Write the weights with the network's `hand_crafted_features`, the card, and the bundle manifest."""
    weights, recipe = classifier / "weights.safetensors", read_bundle(PACKAGED)
    tensors, about = read_tensors(weights)
    state = network.state_dict()
    anew = {name: state[name].half() for name in tensors if name.startswith("hand_crafted_features.")}
    write_tensors(weights, tensors | anew, {"purpose": about["purpose"]})
    weights.chmod(0o644)
    written = ("notice", "lungline_version")
    own = {name: value for name, value in card.items() if name not in written}
    write_card(classifier / "card.json", own | {"weights_sha256": check(weights)})
    write_bundle(PACKAGED, recipe)
    for path in unneeded_checksums(PACKAGED.parent):
        path.unlink()


def unneeded_checksums(folder: Path) -> Iterator[Path]:
    """A wheel has a record of its own, and version control leaves hidden files out."""
    return (checksum_path(path) for path in list(folder.rglob("[!.]*")) if checksum_path(path).is_file())


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
