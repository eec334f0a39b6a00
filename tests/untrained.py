"""Models that nobody trained, for tests in which only the way counts."""

from __future__ import annotations

from pathlib import Path

import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.detection.unet import UNet
from lungline.storage.checksums import sha256
from lungline.storage.weights import write_card, write_tensors
from lungline.workflow.bundle import Bundle, write_bundle
from tests import stage_settings

CACHE = {"region": "lung_box", "outside_hu": -1000}
U_NET = {"slices": 1, "base_channels": 4, "levels": 2, "dropout": 0.0}
CANCER_NET = {"in_channels": 2, "channels": [2, 2, 2, 2, 4, 4], "dense": 8, "dropout": 0.0}


def untrained_models(folder: Path) -> dict:
    """Model folders of random weights that call nearly everything a nodule, and the configuration of them."""
    torch.manual_seed(0)
    for axis in "zyx":
        network = UNet(UNetSpec(**U_NET))
        torch.nn.init.constant_(list(network.parameters())[-1], 3)  # the bias of the last layer
        _write(folder / "detector" / axis, network, {"network": U_NET, "cache": CACHE})
    spec = CancerNetSpec(**{**CANCER_NET, "channels": tuple(CANCER_NET["channels"])})
    classifier = {"kind": "candidate", "detector": "micro", "network": CANCER_NET, "training": {"steps": 1, "batch": 1}}
    card = {
        "classifier": classifier,
        "network": CANCER_NET,
        "logit_without_candidates": 0.0,
        "training_patients": {"cancer": 1, "all": 2},
    }
    _write(folder / "classifier", CancerNet(spec), card)
    return {
        "detectors": {"micro": str(folder / "detector")},
        "classifiers": {"m2-micro": str(folder / "classifier")},
    }


def _write(folder: Path, model: torch.nn.Module, card: dict) -> None:
    write_tensors(folder / "weights.safetensors", model.state_dict(), {"purpose": "test"})
    digest = sha256(folder / "weights.safetensors")
    write_card(folder / "card.json", {"cases": {"train": [], "valid": []}, "weights_sha256": digest, **card})


def untrained_bundle(folder: Path) -> Path:
    """A description of the way to an answer by these models, for `lungline predict`."""
    models = untrained_models(folder)
    settings = {
        "resample": stage_settings.RESAMPLE,
        "segment_lungs": stage_settings.LUNGS,
        "cache_volume": stage_settings.CACHE,
        "detect": {"precision": "float32"},
        "extract_candidates": {**stage_settings.CANDIDATES, "threshold": 0.5},
        "crop_patches": {"count": 20, "size": 32},
    }
    path = folder / "bundle.json"
    detector, classifier = Path(models["detectors"]["micro"]), Path(models["classifiers"]["m2-micro"])
    write_bundle(path, Bundle("m2-micro", settings, classifier, detector))
    return path
