"""Rank the candidates of scans by the answer of a reduction network, and keep the strongest."""

from __future__ import annotations

from pathlib import Path

import torch

from lungline.detection.candidates import rank_again, read_candidates, write_candidates
from lungline.device import make_repeatable, pick_device
from lungline.storage.checksums import Origin
from lungline.training.false_positive_reduction import candidate_logits, read_candidate_cubes
from lungline.training.loading import load_cancer_net


def run(
    candidates: Path,
    output: Path,
    *,
    scans: list[str],
    caches: Path,
    detected: Path,
    reduction: Path,
    count: int = 20,
    turns: int = 1,
    device: str = "auto",
) -> None:
    """Read CANDIDATES/{scan}.csv of each of SCANS, write OUTPUT/{scan}.csv: the COUNT most likely nodules, best first.

    The score is the probability that REDUCTION (a model folder) gives: sigmoid of its logit, in double precision; of
    the mean logit over TURNS symmetries of the cube.
    """
    make_repeatable(seed=0)
    where = pick_device(device)
    network = load_cancer_net(reduction, where)
    size = network.spec.shape_zyx[0]
    for scan in scans:
        cache, probability, wide = caches / f"{scan}.h5", detected / f"{scan}.h5", candidates / f"{scan}.csv"
        found = read_candidates(wide)
        if found:
            cubes = read_candidate_cubes(cache, probability, found, size)
            scores = torch.sigmoid(candidate_logits(network, cubes, where, turns).double()).tolist()
            found = rank_again(found, scores, count)
        origin = Origin("rank_candidates", (cache, probability, wide, reduction / "weights.safetensors"))
        write_candidates(output / f"{scan}.csv", scan, found, origin)
