"""The FPR network learns what a nodule is among candidates, and ranks those of new scans by it."""

import numpy as np
import pytest
import torch

from lungline.detection.candidates import Candidate, read_candidates, write_candidates
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.stages import rank_candidates, train_fpr
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.scan_rows import ScanRow, write_manifest
from lungline.storage.weights import read_card
from lungline.training.augmentation import SYMMETRIES, apply_symmetry
from lungline.training.false_positive_reduction import candidate_logits, read_candidate_cubes
from lungline.training.model_folder import load_cancer_net
from saved_config import save_config

CPU = torch.device("cpu")
AFFINE = geometry.make_affine((1.0, 1.0, 1.0), (100.0, -50.0, 7.0))
PLACES = [(10, 10, 10), (10, 10, 30), (10, 30, 10), (10, 30, 30)]
DETECTOR = {
    "training": {"steps": 1, "batch": 1},
    "fpr": {
        "network": {"shape_zyx": [8, 8, 8], "channels": [4, 4, 4, 4, 4, 4], "dense": 8},
        "training": {"steps": 60, "batch": 8, "learning_rate": 0.003, "validate_every": 20},
    },
}


def draw(folder, scan, bright):
    """A scan with four candidates, ranked by number; those in `bright` are small dense balls, the others tubes."""
    rng = np.random.default_rng(list(scan.encode()))
    ct = rng.normal(-850, 20, (20, 40, 40))
    found = []
    for number, (z, y, x) in enumerate(PLACES):
        if number in bright:
            ct[z - 2 : z + 3, y - 2 : y + 3, x - 2 : x + 3] = 50
        else:
            ct[:, y - 1 : y + 2, x - 1 : x + 2] = 50
        world = geometry.voxel_to_world(AFFINE, (z, y, x))
        found.append(
            Candidate(
                number + 1, 9.0 - number, 9.0 - number, 0.9, 0.9, 10, z, y, x, *map(float, world), 5.0, number + 1
            )
        )
    fields = {
        "cache": {"ct": Field(ct.astype(np.int16), "zyx", "HU", "", AFFINE)},
        "detect": {"probability": Field(np.full(ct.shape, 0.5, np.float16), "zyx", "1", "", AFFINE)},
    }
    for stage, field in fields.items():
        hdf5.write_file(folder / stage / f"{scan}.h5", Header(stage, stage), field)
    write_candidates(folder / "wide" / f"{scan}.csv", scan, found)
    return [(scan, *found[number].centroid_xyz_mm, 6.0) for number in bright]


@pytest.fixture
def folder(tmp_path):
    rows, nodules = [], []
    for split, count in {"train": 4, "valid": 2, "test": 1}.items():
        for number in range(count):
            scan = f"{split}{number}"
            rows.append(ScanRow(scan, "mhd", "luna16", split, 0, None))
            nodules += draw(tmp_path, scan, bright=[number % 4])
    rows.append(ScanRow("q", "mhd", "luna16", "train", 0, None))
    for stage in ("cache", "detect"):
        hdf5.write_file(tmp_path / stage / "q.h5", Header(stage, stage, (Flag("Q_LIMIT"),)), {})
    write_candidates(tmp_path / "wide" / "q.csv", "q", [])
    write_manifest(tmp_path / "manifest.csv", rows)
    lines = ["seriesuid,coordX,coordY,coordZ,diameter_mm", *(",".join(map(str, nodule)) for nodule in nodules)]
    (tmp_path / "annotations.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def train(folder, detector=DETECTOR):
    train_fpr.run(
        folder / "detector" / "fpr",
        folder / "annotations.csv",
        config=save_config(folder, detectors={"tested": detector}),
        detector="tested",
        manifest=folder / "manifest.csv",
        caches=folder / "cache",
        detected=folder / "detect",
        candidates=folder / "wide",
        checkpoints=folder / "checkpoints",
        device="cpu",
    )


def rank(folder, scans, count, test_time_augmentation=1, **more):
    rank_candidates.run(
        folder / "wide",
        folder / "ranked",
        scans=scans,
        caches=folder / "cache",
        detected=folder / "detect",
        fpr=folder / "detector" / "fpr",
        count=count,
        test_time_augmentation=test_time_augmentation,
        device="cpu",
        **more,
    )


def test_a_ball_comes_before_tubes_after_the_training_and_the_rest_is_cut(folder):
    draw(folder, "test0", bright=[3])  # last by the sum of probability
    train(folder)
    rank(folder, ["test0", "q"], count=2)
    ranked = read_candidates(folder / "ranked" / "test0.csv")
    assert [candidate.rank for candidate in ranked] == [1, 2]
    first = read_candidates(folder / "wide" / "test0.csv")[0]
    rank(folder, ["test0"], count=2, first_cut=1)  # the ball is not among those that the network is given
    assert [candidate.label for candidate in read_candidates(folder / "ranked" / "test0.csv")] == [first.label]
    rank(folder, ["test0"], count=2)
    assert ranked[0].centroid_zyx == PLACES[3]
    assert 0 < ranked[1].score < 0.5 < ranked[0].score < 1
    assert read_candidates(folder / "ranked" / "q.csv") == []


def test_the_card_names_the_scans_that_were_learned_from_and_no_test_scan(folder):
    train(folder)
    card = read_card(folder / "detector" / "fpr" / "card.json")
    assert card["cases"] == {"train": ["train0", "train1", "train2", "train3"], "valid": ["valid0", "valid1"]}


def test_a_candidate_seen_from_several_sides_gets_the_mean_of_its_logits(folder):
    train(folder, {**DETECTOR, "fpr": {**DETECTOR["fpr"], "affine_and_intensity": True}})
    rank(folder, ["test0"], count=4, test_time_augmentation=3)
    network = load_cancer_net(folder / "detector" / "fpr", CPU)
    wide = read_candidates(folder / "wide" / "test0.csv")
    cubes = read_candidate_cubes(folder / "cache" / "test0.h5", folder / "detect" / "test0.h5", wide, 8)
    each = torch.stack([candidate_logits(network, apply_symmetry(cubes, *side), CPU) for side in SYMMETRIES[:3]])
    wanted = sorted(torch.sigmoid(each.mean(dim=0).double()).tolist(), reverse=True)
    assert [c.score for c in read_candidates(folder / "ranked" / "test0.csv")] == pytest.approx(wanted, abs=1e-6)


def test_candidates_of_one_kind_alone_teach_nothing_and_are_refused(folder):
    (folder / "annotations.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\ntrain0,0,0,0,5\n")
    with pytest.raises(LunglineError, match="split 'train' are all of one kind"):
        train(folder)
    with pytest.raises(LunglineError, match="no part 'fpr'"):
        train(folder, {"training": DETECTOR["training"]})
