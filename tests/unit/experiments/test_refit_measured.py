"""What the experiment writes into the package: `measured`, calibration and checksums, and nothing else."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from experiments import refit_measured
from lungline.classification.hand_crafted import features
from lungline.storage.weights import read_card, read_tensors
from lungline.training.model_folder import load_cancer_net
from lungline.training.patients import PatientCubes
from lungline.workflow.bundle import PACKAGED, read_pipeline


@dataclass(frozen=True)
class Package:
    """A copy of the packaged models, and what was in it."""

    pipeline: object
    tensors: dict
    card: dict


@pytest.fixture
def package(tmp_path, monkeypatch) -> Package:
    shutil.copytree(PACKAGED.parent, tmp_path / "pretrained")
    copy = tmp_path / "pretrained" / "pipeline.json"
    monkeypatch.setattr(refit_measured, "PACKAGED", copy)
    system = copy.parent / "system"
    return Package(copy, read_tensors(system / "weights.safetensors")[0], read_card(system / "card.json"))


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
    system = package.pipeline.parent / "system"
    network = load_cancer_net(system, torch.device("cpu"))
    found = refit_measured.fitted(network, {"train": cases(30, 1), "valid": cases(12, 2)}, turns=1, seed=1)
    refit_measured.write(system, network, package.card | found)
    tensors, card = read_tensors(system / "weights.safetensors")[0], read_card(system / "card.json")
    assert {name for name in tensors if not torch.equal(tensors[name], package.tensors[name])} == {
        "measured.scale", "measured.weight", "measured.bias"
    }  # fmt: skip
    assert {name for name in card if card[name] != package.card[name]} == {"calibration", "measured", "weights_sha256"}
    assert card["calibration"]["cases"] == 12
    assert card["measured"]["log volume in mm3"] > 0
    assert read_pipeline(package.pipeline).model == system  # its checksums are those of the new weights
    again = load_cancer_net(system, torch.device("cpu"))
    logits, own = torch.tensor([0.3]), features([300.0], [20.0], [80.0], [0.1])
    assert torch.equal(again.weighed(logits, own), network.weighed(logits, own))
    assert not list(package.pipeline.parent.rglob(".*"))
