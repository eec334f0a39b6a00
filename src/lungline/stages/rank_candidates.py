"""Rank the candidates of scans by the answer of a reduction network, and keep the strongest."""

from __future__ import annotations

from pathlib import Path

import torch

from lungline.classification.cancer_net import CancerNet
from lungline.detection.candidates import rank_again, read_candidates, write_candidates
from lungline.device import make_repeatable, pick_device
from lungline.runner.stage import stage
from lungline.training.false_positive_reduction import candidate_logits, read_candidate_cubes
from lungline.training.loading import load_cancer_net


@stage
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
    for scan in scans:
        _rank(
            candidates / f"{scan}.csv",
            output / f"{scan}.csv",
            scan,
            cache=caches / f"{scan}.h5",
            detected=detected / f"{scan}.h5",
            network=network,
            count=count,
            turns=turns,
            device=where,
        )


@stage
def _rank(
    candidates: Path,
    output: Path,
    scan: str,
    *,
    cache: Path,
    detected: Path,
    network: CancerNet,
    count: int,
    turns: int,
    device: torch.device,
) -> None:
    found = read_candidates(candidates)
    if found:
        cubes = read_candidate_cubes(cache, detected, found, network.spec.shape_zyx[0])
        scores = torch.sigmoid(candidate_logits(network, cubes, device, turns).double()).tolist()
        found = rank_again(found, scores, count)
    write_candidates(output, scan, found)
