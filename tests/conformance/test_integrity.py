"""No damage of any kind of cached file is ever used."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lungline.config.loading import read_config
from lungline.detection.candidates import Candidate, write_candidates
from lungline.imaging import geometry
from lungline.storage import checksums, hdf5
from lungline.storage.checksums import write_checksummed_text
from lungline.storage.hdf5 import Field, Header
from lungline.storage.predictions import ANSWER_COLUMNS, Prediction, write_predictions
from lungline.storage.results import write_result
from lungline.storage.saved_config import write_saved_config
from lungline.storage.tables import table_text
from lungline.storage.weights import write_card, write_curve, write_tensors
from tests.conformance import integrity


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A small result tree with two files of every kind, and one configuration."""
    folder = tmp_path_factory.mktemp("results")
    write_saved_config(folder / "private" / "config.json", read_config({}))
    rng = np.random.default_rng(0)
    affine = geometry.make_affine((1, 1, 1), (4, 5, 6))
    for number, scan in enumerate("ab"):
        ct = Field(rng.integers(-1000, 400, (20 + number, 33, 9)).astype(np.int16), "zyx", "HU", "a CT", affine)
        for stage in ("ingest", "resample", "segment_lungs", "cache_volume", "rasterise_nodules"):
            hdf5.write_file(folder / stage / f"{scan}.h5", Header("ct_hu", stage), {"ct": ct})
        for stage in ("detect", "extract_candidates", "crop_patches"):
            hdf5.write_file(folder / stage / "d" / f"{scan}.h5", Header("x", stage), {"ct": ct})
        found = [
            Candidate(rank, 9.5, 9.5, 0.9, 1.0, 10, *rng.random(6).tolist(), 2.5, rank) for rank in range(1, 4 + number)
        ]
        write_candidates(folder / "extract_candidates" / "d" / f"{scan}.csv", scan, found)
        rows = [
            Prediction(f"{scan}{n}", "dsb17", "test", 1, 0.25 + n / 8, "ok", classifier="m") for n in range(3 + number)
        ]
        write_predictions(folder / "collect_predictions" / f"{scan}.csv", rows)
        answers = table_text(ANSWER_COLUMNS, [[f"{scan}{n}", *"0123456789abcde"] for n in range(3 + number)])
        write_checksummed_text(folder / "predict_cancer" / f"{scan}.csv", answers)
        for place in ("evaluate", "describe_nodules/m"):
            write_result(folder / place / f"{scan}.json", {"value": [0.5] * (9 + number)})
        model = folder / "train_classifier" / scan
        write_tensors(model / "weights.safetensors", {"w": torch.arange(40.0 + number)}, {"purpose": "test"})
        write_card(model / "card.json", {"logit_without_candidates": 0.5, "cases": [scan] * (1 + number)})
        write_curve(model / "learning_curve.csv", [{"step": 1, "train_loss": 0.5, "valid_loss": 0.25}] * (2 + number))
    return folder


@pytest.mark.parametrize("kind", integrity.KINDS)
def test_no_damage_is_used_silently(results, kind):
    counts = integrity.survey(kind, results, flips=60, truncations=10, seed=1)
    assert counts.total() >= 72
    assert {outcome: counts[outcome] for outcome in integrity.WRONG} == dict.fromkeys(integrity.WRONG, 0)
    assert counts["noticed"] >= (50 if kind == "checksum" else counts.total())


def test_without_its_checksum_a_flipped_digit_of_a_table_would_be_used(results):
    counts = integrity.survey("candidates", results, flips=60, truncations=10, seed=1, checksum=False)
    assert counts["silent"] > 5


@pytest.mark.parametrize(
    ("read", "outcome"),
    [
        (lambda path: path.stat().st_size, "silent"),
        (lambda path: 1 / 0, "traceback"),
        (lambda path: checksums.os._exit(3), "crash"),
    ],
)
def test_wrong_outcomes_are_counted(results, monkeypatch, read, outcome):
    def read_or_fail(path):
        return 7 if path.stat().st_size == good else read(path)

    monkeypatch.setitem(integrity.KINDS, "evaluation", ("evaluate/*.json", read_or_fail))
    good = sorted((results / "evaluate").glob("*.json"), key=lambda path: path.stat().st_size)[1].stat().st_size
    assert integrity.survey("evaluation", results, flips=0, truncations=2, seed=1)[outcome] >= 2
