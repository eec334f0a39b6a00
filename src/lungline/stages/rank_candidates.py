"""Rank the candidates of scans by the score of a second network (false-positive reduction), and keep the strongest."""

from pathlib import Path

import torch

from lungline.detection.candidates import rank_again, read_candidates, write_candidates
from lungline.device import make_repeatable, pick_device
from lungline.runner.stage import stage
from lungline.training.false_positive_reduction import candidate_logits, read_candidate_cubes
from lungline.training.model_folder import load_cancer_net


@stage
def run(
    candidates: Path,
    output: Path,
    *,
    scans: list[str],
    caches: Path,
    detected: Path,
    fpr: Path,
    count: int,
    test_time_augmentation: int,
    first_cut: int | None = None,
    device: str,
) -> None:
    """Read CANDIDATES/{scan}.csv of each of SCANS, write OUTPUT/{scan}.csv: the COUNT most likely nodules, best first.

    The score is the probability that FPR (a model folder) gives: sigmoid of its logit, in double precision; of
    the mean logit over TEST_TIME_AUGMENTATION symmetries of the cube. Only the FIRST_CUT strongest candidates are given
    to it, where that is a number; the others are left out.
    """
    make_repeatable(seed=0)
    where = pick_device(device)
    network = load_cancer_net(fpr, where)
    size = network.spec.shape_zyx[0]

    @stage
    def rank(scan: str) -> None:
        found = read_candidates(candidates / f"{scan}.csv")[:first_cut]
        if found:
            cubes = read_candidate_cubes(caches / f"{scan}.h5", detected / f"{scan}.h5", found, size)
            scores = torch.sigmoid(candidate_logits(network, cubes, where, test_time_augmentation).double()).tolist()
            found = rank_again(found, scores, count)
        write_candidates(output / f"{scan}.csv", scan, found)

    for scan in scans:
        rank(scan)
