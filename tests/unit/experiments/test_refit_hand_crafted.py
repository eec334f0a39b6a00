"""What the experiment writes into the package: `hand_crafted_features`, calibration and checksums, and nothing else."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from experiments import refit_hand_crafted
from lungline.classification.hand_crafted import features
from lungline.storage.weights import read_card, read_tensors
from lungline.training.model_folder import load_cancer_net
from lungline.training.patients import PatientCubes
from lungline.workflow.bundle import PACKAGED, read_bundle


@dataclass(frozen=True)
class Package:
    """A copy of the packaged models, and what was in it."""

    bundle: object
    tensors: dict
    card: dict


@pytest.fixture
def package(tmp_path, monkeypatch) -> Package:
    shutil.copytree(PACKAGED.parent, tmp_path / "pretrained")
    copy = tmp_path / "pretrained" / "bundle.json"
    monkeypatch.setattr(refit_hand_crafted, "PACKAGED", copy)
    classifier = copy.parent / "classifier"
    return Package(copy, read_tensors(classifier / "weights.safetensors")[0], read_card(classifier / "card.json"))


def cases(count: int, seed: int) -> list[PatientCubes]:
    """Large candidates are malignant more often."""
    rng, made = np.random.default_rng(seed), []
    for number in range(count):
        volume_mm3 = float(rng.uniform(20, 4000))
        cube = rng.random((1, 2, 32, 32, 32)).astype(np.float16)
        own = features([volume_mm3], [0.0], [100.0], [0.0])
        made.append(PatientCubes(str(number), int(rng.random() < volume_mm3 / 4000), cube, features=own))
    return made


def test_only_the_weights_of_features_the_calibration_and_checksums_change(package) -> None:
    classifier = package.bundle.parent / "classifier"
    network = load_cancer_net(classifier, torch.device("cpu"))
    found = refit_hand_crafted.fitted(
        network, {"train": cases(30, 1), "valid": cases(12, 2)}, test_time_augmentation=1, seed=1
    )
    refit_hand_crafted.write(classifier, network, package.card | found)
    tensors, card = read_tensors(classifier / "weights.safetensors")[0], read_card(classifier / "card.json")
    assert {name for name in tensors if not torch.equal(tensors[name], package.tensors[name])} == {
        "hand_crafted_features.scale", "hand_crafted_features.weight", "hand_crafted_features.bias"
    }  # fmt: skip
    assert {name for name in card if card[name] != package.card[name]} == {
        "calibration",
        "hand_crafted_features",
        "weights_sha256",
    }
    assert card["calibration"]["cases"] == 12
    assert card["hand_crafted_features"]["log volume in mm3"] > 0
    assert read_bundle(package.bundle).model == classifier  # its checksums are those of the new weights
    again = load_cancer_net(classifier, torch.device("cpu"))
    logits, own = torch.tensor([0.3]), features([300.0], [20.0], [80.0], [0.1])
    assert torch.equal(again.weighed(logits, own), network.weighed(logits, own))
    assert not list(package.bundle.parent.rglob(".*"))
