"""The models in the package: what lies there is what its card says, and it answers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from lungline import NOTICE
from lungline.classification.hand_crafted import features
from lungline.detection.slices import AXES
from lungline.fingerprint import ROOT
from lungline.imaging.intensity import scale_hu
from lungline.stages import predict
from lungline.storage.checksums import sha256
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.source_nodules import NEVER_TRAINED
from lungline.synthetic.writers import write_mhd
from lungline.training.model_folder import load_cancer_net
from lungline.training.patients import patient_logits
from lungline.workflow.bundle import PACKAGED, read_bundle

CARD = ROOT.parents[1] / "docs" / "reference" / "model-card.md"
PARTS = [*(f"detector/{part}" for part in (*AXES, "fpr")), "classifier"]


@pytest.mark.parametrize("part", PARTS)
def test_weights_are_those_of_both_cards(part: str) -> None:
    folder = PACKAGED.parent / part
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    digest = sha256(folder / "weights.safetensors")
    assert card["weights_sha256"] == digest
    assert card["notice"] == NOTICE
    if CARD.is_file():
        assert f"| `{part}` | `{digest}` |" in CARD.read_text(encoding="utf-8")


def test_weights_are_small_and_in_half_precision() -> None:
    files = [PACKAGED.parent / part / "weights.safetensors" for part in PARTS]
    assert sum(path.stat().st_size for path in files) < 10e6
    for path in files:
        with safe_open(path, framework="np") as weights:
            assert {weights.get_tensor(name).dtype for name in weights.keys()} == {np.dtype(np.float16)}  # noqa: SIM118


def test_no_patient_of_the_found_nodules_was_trained_on_and_none_stands_in_two_splits() -> None:
    with open(PACKAGED.parent / "sources.csv", newline="", encoding="utf-8") as handle:
        splits = {(row["source"].partition("_R_")[0], row["split"]) for row in csv.DictReader(handle)}
    patients = [patient for patient, _ in splits]
    assert not NEVER_TRAINED & set(patients)
    assert len(patients) == len(set(patients)) > 300
    assert all(patient.startswith("LIDC-IDRI-") for patient in patients)  # public names, and no others


def test_the_packaged_models_answer_a_scan_and_say_whose_answer_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = plan_scan("luna16", 3, 1, 0.4)
    write_mhd(tmp_path / "scan.mhd", simulate_scan_hu(plan))
    assert predict.run(tmp_path / "scan.mhd", out=tmp_path / "out", pages=False, device="cpu") == 0
    printed = capsys.readouterr().out
    assert (
        f"answered by the models of the package (docs/reference/model-card.md), classifier 'pretrained'. {NOTICE}"
        in printed
    )
    with open(tmp_path / "out" / "predictions.csv", newline="", encoding="utf-8") as handle:
        (row,) = csv.DictReader(handle)
    assert 0 < float(row["malignancy_score"]) < 1
    assert row["weights_sha256"] == sha256(read_bundle(PACKAGED).model / "weights.safetensors")


def test_a_calcified_nodule_is_called_less_malignant_than_one_of_soft_tissue() -> None:
    away = np.linalg.norm(np.indices((32,) * 3) - 15.5, axis=0)
    lung = np.random.default_rng(0).normal(-850, 30, away.shape)
    cubes = [
        np.stack([scale_hu(np.where(away <= 4, hu, lung)), np.where(away <= 4, 0.95, 0.02)]).astype(np.float16)
        for hu in (40.0, 700.0)
    ]
    network = load_cancer_net(PACKAGED.parent / "classifier", torch.device("cpu"))
    volume = float(np.sum(away <= 4))
    own = features([volume] * 2, [40.0, 700.0], [0.0] * 2, [0.0, 1.0])
    with torch.inference_mode():
        logits = patient_logits(network, np.stack(cubes), torch.device("cpu"), test_time_augmentation=8)
        soft, calcified = network.weighed(logits, own).tolist()
    assert calcified < soft - 2
