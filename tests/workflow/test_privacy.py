"""Identifiers planted in every tag, header, file name and label: none leaves private/, until they are exported."""

import base64
import csv
import gzip
import zlib
from pathlib import Path

import pytest
import torch
import yaml

from lungline.io import hdf5
from lungline.models.cancer_net import CancerNet
from lungline.models.specs import CancerNetSpec, UNetSpec
from lungline.models.unet import UNet
from lungline.training.weights import write_card, write_tensors
from phantoms import make_chest
from planted import MARKER, holds_marker, leaks, plant_scans

from .conftest import copy_workflow

pytestmark = pytest.mark.workflow

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
    card = {"network": CANCER_NET, "logit_without_candidates": 0.0, "training_patients": {"cancer": 1, "all": 2}}
    _write(folder / "system", CancerNet(spec), card)
    return {
        "detectors": {"micro": str(folder / "detector")},
        "systems": {"m2-micro": str(folder / "system")},
    }


def _write(folder: Path, model: torch.nn.Module, card: dict) -> None:
    write_tensors(folder / "weights.safetensors", model.state_dict(), {"purpose": "test"})
    digest = hdf5.sha256(folder / "weights.safetensors")
    write_card(folder / "card.json", {"cases": {"train": [], "valid": []}, "weights_sha256": digest, **card})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The workflow after a run on planted scans; what it said; where its results lie."""
    raw, models = tmp_path_factory.mktemp("raw"), tmp_path_factory.mktemp("models")
    n_scans = plant_scans(raw, make_chest(spacing_mm=2.0).ct)
    labels = tmp_path_factory.mktemp("labels") / "labels.csv"
    labels.write_text(f"id,cancer\n{MARKER}.mhd,1\n{MARKER}.nii,0\n{MARKER} series,1\nnobody {MARKER},0\n")
    copy = copy_workflow(tmp_path_factory.mktemp("planted"))
    change = {
        "outdir": "results/planted",
        "data": {"folder": str(raw), "labels": str(labels)},
        "models": untrained_models(models),
        "extract_candidates": {"threshold": 0.5},
    }
    (copy.folder / "planted.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
    words = ("--configfile", "config/micro.yaml", "planted.yaml")
    said = [copy.snakemake(*words, "--printshellcmds", "--show-failed-logs")]
    said += [copy.snakemake(*words, "--report", "report.html"), copy.snakemake(*words, "--forceall", "-n", "-p")]
    for answer in said:
        assert answer.returncode == 0, answer.stdout[-5000:]
    return copy, "".join(answer.stdout for answer in said), n_scans


def answers(copy) -> dict[str, dict[str, str]]:
    with open(copy.folder / "results" / "planted" / "predictions.csv", encoding="utf-8") as handle:
        return {row["scan"]: row for row in csv.DictReader(handle)}


def test_every_planted_scan_is_answered_or_named(run) -> None:
    copy, _, n_scans = run
    rows = answers(copy)
    assert len(rows) == n_scans
    assert sorted(row["codes"] for row in rows.values() if row["status"] == "quarantined") == [
        "Q_BAD_MHD",
        "Q_BAD_MHD",
        "Q_BAD_NIFTI",
        "Q_DAMAGED_SLICES",
        "Q_NO_GEOMETRY",
        "Q_UNSUPPORTED_SYNTAX",
    ]
    used = [row for row in rows.values() if row["probability"]]
    assert sorted(row["label"] for row in used) == ["0", "1", "1"]
    assert any(int(row["n_candidates"]) for row in used), "the planted scans must reach the last network"


def test_no_planted_identifier_leaves_private(run) -> None:
    copy, said, _ = run
    private = copy.folder / "results" / "planted" / "private"
    assert not holds_marker(said.encode(errors="surrogateescape"))
    assert leaks(copy.folder, but=(private,)) == []
    assert any(path.name == "map.csv" for path in private.iterdir())
    assert leaks(private), "the search must find what is there"


@pytest.mark.parametrize(
    "hidden",
    [
        MARKER.encode(),
        MARKER.upper().encode(),
        MARKER.encode("utf-16-le"),
        base64.b64encode(b"x" + MARKER.encode() + b" and more"),
        base64.b64encode(zlib.compress(b"<p>" + MARKER.encode() * 3)),
        b"data:" + base64.b64encode(base64.b64encode(b"folder/" + MARKER.encode() + b"/file")),
        b"head" + gzip.compress(MARKER.encode() * 2),
        "".join(f"%{byte:02X}" for byte in MARKER.encode()).encode(),
    ],
)
def test_the_search_finds_hidden_markers(hidden: bytes) -> None:
    assert holds_marker(b"before " + hidden + b" after")
    assert not holds_marker(b"before " + hidden[len(hidden) // 2 :] + b" after")
