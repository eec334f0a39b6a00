"""Classifiers of every kind train for a few steps, answer every patient, and say so when they have learned nothing."""

import csv
import json

import numpy as np
import pytest
import torch

from lungline.classification.hand_crafted import NAMES
from lungline.config.loading import laid_over, read_config
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.stages import collect_predictions, evaluate_cancer, predict_cancer, resize_volume, train_classifier
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.scan_rows import ScanRow, write_manifest
from lungline.storage.weights import read_card, read_tensors
from lungline.training.calibration import interval_of
from lungline.training.patients import read_features
from saved_config import save_config

CLASSIFIERS = read_config({}).model_dump(mode="json", exclude_unset=True)["classifiers"]
SPLITS = {"train": 8, "valid": 4, "test": 4}
SMALL = {
    "network": {"channels": [2, 2, 2, 2, 4, 4], "dense": 8},
    "training": {"steps": 4, "batch": 4, "validate_every": 2, "learning_rate": 0.001},
}


@pytest.fixture
def folder(tmp_path):
    """Manifest and caches of 17 patients; one of them is quarantined, and a test patient's lungs are the largest."""
    rng = np.random.default_rng(0)
    affine = geometry.make_affine((1.0, 1.0, 1.0))
    rows = [ScanRow("q", "dicom", "dsb17", "test", None, 1)]
    made_by = {"region": "lung_box", "outside_hu": -1000.0}
    hdf5.write_file(tmp_path / "cache" / "q.h5", Header("ct", "cache_volume", (Flag("Q_LIMIT"),), made_by), {})
    for split, count in SPLITS.items():
        for number in range(count):
            row = ScanRow(f"{split}{number}", "dicom", "dsb17", split, None, number % 2)
            shape = rng.integers(15, 24, 3) if (split, number) != ("test", 0) else np.array([30, 20, 28])
            ct = Field(rng.integers(-900, 400, shape).astype(np.int16), "zyx", "HU", "", affine)
            made = {"slice_mm": 1.0 + number / 8 if row.scan != "test3" else 5.0, "pixel_mm": 0.7, "noise_hu": 15.0}
            known = {"raw_sha256": "ff", "acquisition": made}
            header = Header("masked_ct_hu", "cache_volume", (), made_by, known)
            hdf5.write_file(tmp_path / "cache" / f"{row.scan}.h5", header, {"ct": ct})
            rows.append(row)
    write_manifest(tmp_path / "manifest.csv", rows)
    return tmp_path


def candidates(folder, size=8):
    """Patch files beside the caches; the first training patient and test patient have no candidate."""
    rng = np.random.default_rng(1)
    for path in (folder / "cache").glob("*.h5"):
        header = hdf5.read_header(path)
        valid = np.arange(4) < (0 if path.stem in ("train0", "test0") else rng.integers(1, 4))
        cubes = (rng.random((4, 2, size, size, size)) * valid[:, None, None, None, None]).astype(np.float16)
        measured = np.column_stack([rng.uniform(1, 9, (4, 5)), np.zeros(4)])[: valid.sum()]
        fields = {
            "patches": Field(cubes, "candidate,channel,z,y,x", "1", ""),
            "valid": Field(valid, "candidate", "1", ""),
            "measurements": Field(measured, "candidate,measurement", "1", ""),
        }
        made = {} if header.status == "quarantined" else fields
        hdf5.write_file(folder / "patches" / path.name, Header("patches", "crop_patches", header.flags), made)
    return folder / "patches"


def resized(folder, size):
    for path in (folder / "cache").glob("*.h5"):
        resize_volume.run(path, folder / "resized" / path.name, size=size)
    return folder / "resized"


def train(folder, entry, inputs, name="model", init_from=None):
    config = save_config(folder, classifiers={"tested": entry})
    options = {
        "manifest": folder / "manifest.csv",
        "inputs": inputs,
        "checkpoints": folder / "c",
        "init_from": init_from,
        "device": "cpu",
    }
    train_classifier.run(folder / name, config=config, classifier="tested", **options)
    return read_card(folder / name / "card.json")


def predict(folder, inputs, name="model"):
    options = {"model": folder / name, "manifest": folder / "manifest.csv", "inputs": inputs, "device": "cpu"}
    predict_cancer.run(folder / "answers.csv", **options)
    with open(folder / "answers.csv", encoding="utf-8") as handle:
        return {row["scan"]: row for row in csv.DictReader(handle)}


def shrunk(name):
    """An entry of the configuration at the size of a test."""
    entry = laid_over(CLASSIFIERS[name], SMALL)
    entry["training"] = {key: value for key, value in entry["training"].items() if key != "micro_batch"}
    if "pad_to" in entry["input"]:
        return laid_over(entry, {"training": {"micro_batch": 1, "batch": 3}})
    crop = {"crop": 12} if "crop" in entry["input"] else {}
    return laid_over(entry, {"input": {"resize_to": 16, **crop}, "training": {"micro_batch": 2}})


@pytest.mark.parametrize("name", [name for name, entry in CLASSIFIERS.items() if entry["kind"] == "whole_volume"])
def test_every_entry_of_method_1_is_trained_and_answers(folder, name):
    entry = shrunk(name)
    inputs = resized(folder, 16) if "resize_to" in entry["input"] else folder / "cache"
    card = train(folder, entry, inputs)
    answers = predict(folder, inputs)
    assert set(answers) == {"q", *(f"{split}{n}" for split, count in SPLITS.items() for n in range(count))}
    assert (answers["q"]["status"], answers["q"]["cancer_probability"]) == ("quarantined", "")
    probabilities = {float(row["cancer_probability"]) for scan, row in answers.items() if scan != "q"}
    assert len(probabilities) > 10
    assert all(row["n_candidates"] == "" for row in answers.values())
    assert card["cases"] == {split: [f"{split}{n}" for n in range(SPLITS[split])] for split in ("train", "valid")}
    train(folder, entry, inputs, "again")
    assert (folder / "again" / "weights.safetensors").read_bytes() == (
        folder / "model" / "weights.safetensors"
    ).read_bytes()


def test_the_largest_training_region_is_the_shape_and_a_larger_test_region_is_cut_with_a_code(folder):
    card = train(folder, shrunk("m1-full"), folder / "cache")
    shapes = [hdf5.read_grid(folder / "cache" / f"train{n}.h5", "ct")[0] for n in range(SPLITS["train"])]
    assert tuple(card["network"]["shape_zyx"]) == tuple(np.max(shapes, axis=0))
    answers = predict(folder, folder / "cache")
    assert (answers["test0"]["status"], answers["test0"]["flags"]) == ("warned", "W_VOLUME_CROPPED")
    assert all(answers[f"train{n}"]["status"] == "ok" for n in range(SPLITS["train"]))


def test_a_patient_who_was_scanned_unlike_those_of_the_training_is_answered_with_a_warning(folder):
    card = train(folder, shrunk("m1-64"), resized(folder, 16))
    assert card["acquisition"]["slice_mm"] == [1.0, 1.875]
    answers = predict(folder, folder / "resized")
    assert (answers["test3"]["status"], answers["test3"]["flags"]) == ("warned", "W_UNLIKE_TRAINING")
    assert {answers[f"{split}{n}"]["status"] for split in ("train", "test") for n in range(3)} == {"ok"}


def test_candidates_are_scored_by_their_maximum_and_none_by_the_odds(folder):
    inputs = candidates(folder)
    entry = laid_over(CLASSIFIERS["m2"], {**SMALL, "network": {**SMALL["network"], "shape_zyx": [8, 8, 8]}})
    card = train(folder, entry, inputs)
    assert card["training_patients"] == {"all": 8, "cancer": 4, "without_candidates": 1}
    answers = predict(folder, inputs)
    assert float(answers["test0"]["logit"]) == pytest.approx(card["logit_without_candidates"], rel=1e-6)
    assert (answers["test0"]["n_candidates"], answers["test0"]["deciding_rank"]) == ("0", "")
    own = list(map(float, answers["test1"]["candidate_logits"].split(";")))
    assert len(own) == int(answers["test1"]["n_candidates"])
    assert own.index(max(own)) + 1 == int(answers["test1"]["deciding_rank"])
    assert max(own) == float(answers["test1"]["logit"])
    assert answers["q"]["n_candidates"] == ""


def small_m2(**change):
    network = {**SMALL["network"], "shape_zyx": [8, 8, 8]}
    return laid_over(laid_over(CLASSIFIERS["m2"], {**SMALL, "network": network}), change)


def test_only_the_strongest_candidates_are_shown_when_told_so(folder):
    inputs = candidates(folder)
    train(folder, small_m2(candidates=1, network={"pool": "noisy_or"}), inputs)
    answers = predict(folder, inputs)
    assert {row["n_candidates"] for row in answers.values()} == {"", "0", "1"}
    assert len({row["cancer_probability"] for row in answers.values()}) > 10


def test_a_calibrated_classifier_answers_with_its_scale_and_shift(folder):
    inputs = candidates(folder)
    train(folder, small_m2(test_time_augmentation=2), inputs)
    plain = predict(folder, inputs)
    card = train(folder, small_m2(test_time_augmentation=2, calibrate=True), inputs, "calibrated")
    fitted = card["calibration"]
    calibrated = predict(folder, inputs, "calibrated")
    assert fitted["on"] == "valid"
    assert (fitted["scale"], fitted["shift"]) != (1.0, 0.0)
    for scan in ("test1", "test2", "test3"):
        wanted = fitted["scale"] * float(plain[scan]["logit"]) + fitted["shift"]
        assert float(calibrated[scan]["logit"]) == pytest.approx(wanted, rel=1e-6)
        low, high = interval_of(float(plain[scan]["logit"]), np.array(fitted["resampled"]))
        assert [float(calibrated[scan][end]) for end in ("low", "high")] == pytest.approx([low, high], rel=1e-5)
        assert low <= float(calibrated[scan]["cancer_probability"]) <= high
    assert calibrated["test0"]["logit"] == plain["test0"]["logit"]  # nothing found: the odds of the training patients
    assert {calibrated["test0"]["low"], plain["test1"]["low"]} == {""}


def test_a_classifier_starts_from_the_convolutions_that_it_is_given(folder):
    inputs = candidates(folder)
    begun = train(folder, small_m2(), inputs, "fpr")
    still = {"steps": 1, "learning_rate": 1e-12}
    card = train(folder, small_m2(init_from="fpr", training=still), inputs, init_from=folder / "fpr")
    told = ("weights_sha256", "cases", "case_hu_sha256")
    assert card["initialised_from"] == {key: begun[key] for key in told}
    (one, _), (other, _) = (read_tensors(folder / name / "weights.safetensors") for name in ("model", "fpr"))
    for name in one:
        assert torch.allclose(one[name], other[name], atol=1e-9) == name.startswith("conv")
    with pytest.raises(LunglineError, match="its convolutions have other shapes"):
        train(folder, small_m2(init_from="fpr", network={"channels": [3] * 6}), inputs, init_from=folder / "fpr")
    with pytest.raises(LunglineError, match=r"begins with fpr .*Give --init-from where"):
        train(folder, small_m2(init_from="fpr"), inputs)


def test_a_fine_tuned_classifier_begins_with_all_weights_and_has_seen_what_they_saw(folder):
    inputs = candidates(folder)
    begun = train(folder, small_m2(), inputs, "first")
    entry = small_m2(init_from=str(folder / "first"), training={"steps": 1, "learning_rate": 1e-12})
    card = train(folder, entry, inputs, init_from=folder / "first")
    (one, _), (other, _) = (read_tensors(folder / name / "weights.safetensors") for name in ("model", "first"))
    assert all(torch.allclose(one[name], other[name], atol=1e-9) for name in one)
    assert card["initialised_from"]["weights_sha256"] == begun["weights_sha256"]
    again = small_m2(init_from=str(folder / "model"), network={"channels": [3] * 6})
    with pytest.raises(LunglineError, match=r"init_from: .*'conv1.bias' is \(2,\) there and \(3,\) here"):
        train(folder, again, inputs, "again", init_from=folder / "model")
    with pytest.raises(LunglineError, match="begins with random weights"):
        train(folder, small_m2(), inputs, "again", init_from=folder / "model")


def test_a_training_repeated_with_another_seed_is_another_training(folder):
    inputs = candidates(folder)
    cards = [train(folder, small_m2(training={"seed": seed}), inputs, f"m{seed}") for seed in (None, 1, 2)]
    hashes = [card["weights_sha256"] for card in cards]
    assert hashes[0] == hashes[1] != hashes[2]
    assert [card["seed"] for card in cards] == [1, 1, 2]


def test_a_baseline_says_the_same_of_everybody_and_is_no_failure(folder):
    for name, probability in (("all-negative", 0.0), ("constant-prior", 0.5)):
        card = train(folder, CLASSIFIERS[name], None, name)
        assert (card["cancer_probability"], card["warnings"]) == (probability, [])
        answers = predict(folder, folder / "cache", name)
        assert {row["cancer_probability"] for row in answers.values()} == {"", f"{probability:.9g}"}
        assert answers["q"]["status"] == "quarantined"
        result = evaluated(folder, name)
        assert result["warnings"] == []
        metrics, baselines = result["splits"]["test"]["metrics"], result["splits"]["test"]["baselines"]
        same = baselines["all_negative" if name == "all-negative" else "constant_prior"]
        for metric in ("log_loss", "accuracy", "brier"):
            assert metrics[metric]["value"] == same[metric]["value"]
    with open(folder / "constant-prior" / "learning_curve.csv", encoding="utf-8") as handle:
        (look,) = csv.DictReader(handle)
    assert float(look["valid_loss"]) == pytest.approx(np.log(2))


def evaluated(folder, name):
    predicted = folder / "predictions.csv"
    collect_predictions.run(
        predicted, manifest=folder / "manifest.csv", predictions=folder / "answers.csv", classifier="the-classifier"
    )
    evaluate_cancer.run(folder / "cancer.json", predicted, model=folder / name)
    return json.loads((folder / "cancer.json").read_text(encoding="utf-8"))


def test_noise_learned_by_heart_is_named_in_log_card_and_page(folder, capsys):
    """Labels have nothing to do with the volumes: what is learned of them is of no use for others."""
    entry = laid_over(shrunk("m1-64"), {"network": {"channels": [4, 4, 8, 8, 8, 8], "dense": 32}})
    entry["training"] |= {"steps": 60, "batch": 8, "learning_rate": 0.003, "validate_every": 10}
    inputs = resized(folder, 16)
    card = train(folder, entry, inputs)
    flags = [flag for flag, _ in card["warnings"]]
    assert "M_OVERFIT" in flags
    assert "M_OVERFIT: training loss" in capsys.readouterr().out
    predict(folder, inputs)
    result = evaluated(folder, "model")
    assert result["warnings"][: len(flags)] == card["warnings"]
    assert "- `M_OVERFIT`: training loss" in (folder / "cancer.md").read_text(encoding="utf-8")


def test_a_network_that_learns_nothing_is_named_in_log_card_and_page(folder, capsys):
    entry = laid_over(shrunk("m1-64"), {"training": {"steps": 2, "learning_rate": 1e-9}})
    inputs = resized(folder, 16)
    for path in inputs.glob("*.h5"):  # everybody looks alike
        header = hdf5.read_header(path)
        if header.status != "quarantined":
            field = hdf5.read_field(path, "volume")
            alike = Field(np.full_like(field.array, 0.3), field.axes, field.unit, "", field.affine)
            hdf5.write_file(path, header, {"volume": alike})
    card = train(folder, entry, inputs)
    assert [flag for flag, _ in card["warnings"]] == ["M_ALL_NEGATIVE"]
    assert "M_ALL_NEGATIVE: 4 validation patients: probabilities span 0" in capsys.readouterr().out
    predict(folder, inputs)
    assert ["M_ALL_NEGATIVE", "4 test patients: probabilities span 0"] in evaluated(folder, "model")["warnings"]


def test_a_split_without_patients_and_a_missing_folder_are_refused(folder):
    write_manifest(folder / "manifest.csv", [ScanRow("train0", "dicom", "dsb17", "train", None, 1)])
    for name, inputs in (("m1-full", folder / "cache"), ("all-negative", None)):
        with pytest.raises(LunglineError, match="no labelled patient that can be used in the split 'valid'"):
            train(folder, CLASSIFIERS[name], inputs)
    with pytest.raises(LunglineError, match="Name their folder with --inputs"):
        train(folder, CLASSIFIERS["m1-64"], None)


def test_a_classifier_that_the_configuration_does_not_have_is_refused_with_the_nearest(folder):
    options = {"manifest": folder / "manifest.csv", "checkpoints": folder / "c", "config": save_config(folder)}
    with pytest.raises(LunglineError, match=r"config\.json: no classifier 'm1-46'. Did you mean 'm1-64'"):
        train_classifier.run(folder / "model", classifier="m1-46", **options)


def test_features_are_weighed_with_the_logits_of_the_trained_network(folder):
    inputs = candidates(folder)
    train(folder, small_m2(), inputs)
    said = train(folder, small_m2(network={"hand_crafted_features": True}), inputs, "hand_crafted_features")[
        "hand_crafted_features"
    ]
    assert set(said) == {"logit", *NAMES, "bias"}
    plain, answers = predict(folder, inputs), predict(folder, inputs, "hand_crafted_features")
    for scan in ("test1", "test2", "test3"):
        own = np.array(plain[scan]["candidate_logits"].split(";"), dtype=float)
        measured = read_features(inputs / f"{scan}.h5", len(own)) @ [said[name] for name in NAMES]
        wanted = said["logit"] * own + measured + said["bias"]
        assert np.array(answers[scan]["candidate_logits"].split(";"), float) == pytest.approx(wanted, abs=2e-3)
