from pathlib import Path

import pytest

from lungline.config.loading import foreign_keys, read_config, read_config_files
from lungline.errors import LunglineError
from lungline.storage.saved_config import read_saved_config, write_saved_config

CONFIG = Path(__file__).resolve().parents[3] / "config"
UNDER = {"ablations": ["benchmark"]}  # a preset that lies on another one
PRESETS = sorted(path.stem for path in CONFIG.glob("*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_allowed_and_comes_back_as_it_was_saved(name: str, tmp_path: Path) -> None:
    config = read_config_files(CONFIG / f"{file}.yaml" for file in ("config", *UNDER.get(name, []), name))
    write_saved_config(tmp_path / "saved.json", config)
    assert read_saved_config(tmp_path / "saved.json") == config


def test_the_default_file_asks_for_the_built_in_defaults() -> None:
    assert read_config_files([CONFIG / "config.yaml"]) == read_config({})


def test_three_lines_are_a_configuration() -> None:
    config = read_config({"outdir": "mine", "data": {"folder": "x"}, "run": ["m2"]})
    assert config.data is not None
    assert (config.data.folder, config.data.luna16) == ("x", None)
    assert config.classifiers["m2"].kind == "candidate"
    assert config.extract_candidates.threshold == 0.8


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"resampel": {}}, "top level has no key 'resampel'. Did you mean 'resample'?"),
        (
            {"extract_candidates": {"treshold": 1}},
            "extract_candidates has no key 'treshold'. Did you mean 'threshold'?",
        ),
        (
            {"detectors": {"demo": {"training": {"step": 3}}}},
            "detectors.demo.training has no key 'step'. Did you mean 'steps'?",
        ),
        ({"extract_candidates": {"threshold": 80}}, "extract_candidates.threshold: expected less than 1. Found 80."),
        ({"seed": "one"}, "seed: expected a whole number. Found 'one'."),
        ({"run": ["m2-dem"]}, "run: no classifier 'm2-dem'. Did you mean 'm2-demo'?"),
        ({"classifiers": {"m2-demo": {"detector": "dem"}}}, "classifiers.m2-demo.detector: no detector 'dem'"),
        (
            {"models": {"classifiers": {"m2-dmo": "x"}}},
            "models.classifiers: no entry 'm2-dmo'. Did you mean 'm2-demo'?",
        ),
        ({"outdir": "a{b}"}, "outdir: expected a path without a leading -, braces and line ends. Found 'a{b}'. Rename"),
        ({"outdir": "-a"}, "outdir: expected a path without"),
        ({"manifest": "a\nb"}, r"manifest: expected a path without a leading -, braces and line ends. Found 'a\nb'."),
        ({"models": {"detectors": {"demo": "}"}}}, "models.detectors.demo: expected a path without"),
        ({"classifiers": {"-x": {"extends": "m2"}}}, "classifiers.-x: expected letters, digits, _ and - (not first)"),
        ({"data": {}}, "data: expected a folder under luna16, dsb17 or folder."),
        (
            {"classifiers": {"m1-64": {"detector": "demo"}}},
            "classifiers.m1-64 has no key 'detector'",
        ),
        (
            {"classifiers": {"m1-64": {"flips_and_rotations": True}}},
            "classifiers.m1-64 has no key 'flips_and_rotations'",
        ),
        ({"classifiers": {"m2-demo": {"input": {"crop": 16}}}}, "classifiers.m2-demo has no key 'input'"),
        ({"classifiers": {"all-negative": {"training": {}}}}, "classifiers.all-negative has no key 'training'"),
        (
            {"classifiers": {"all-negative": {"cancer_probability": 1.5}}},
            "classifiers.all-negative.cancer_probability: expected at most 1 or 'prior'. Found 1.5.",
        ),
        (
            {"classifiers": {"x": {"kind": "whole_volumes"}}},
            "classifiers.x.kind: expected 'candidate', 'whole_volume', 'baseline'. Found 'whole_volumes'. Did you mean",
        ),
        (
            {"classifiers": {"x": {"detector": "demo"}}},
            "classifiers.x.kind: expected 'candidate', 'whole_volume' or 'baseline'. Found no such key.",
        ),
        ({"detectors": {"demo": {"training": {"micro_batch": 2}}}}, "detectors.demo.training has no key 'micro_batch'"),
        (
            {"classifiers": {"m2-demo": {"network": {"norm": "batch"}}}},
            "classifiers.m2-demo.network.norm: expected 'none' or 'group'",
        ),
        (
            {"classifiers": {"m1-64-batchnorm": {"training": {"micro_batch": 1}}}},
            "classifiers.m1-64-batchnorm.training.micro_batch: network.norm 'batch' needs 2 or more",
        ),
        (
            {"classifiers": {"m1-64": {"training": {"micro_batch": 65}}}},
            "classifiers.m1-64.training.micro_batch: expected 1 to batch, 64. Found 65.",
        ),
        (
            {"classifiers": {"m1-54-crops": {"input": {"crop": 80}}}},
            "classifiers.m1-54-crops.input.crop: expected less than resize_to, 64. Found 80.",
        ),
        (
            {"classifiers": {"m1-64": {"input": {"pad_to": "largest"}}}},
            "classifiers.m1-64.input: expected either resize_to or pad_to.",
        ),
        (
            {"classifiers": {"x": {"extends": "m1-46"}}},
            "classifiers.x.extends: no entry 'm1-46'. Did you mean 'm1-64'?",
        ),
        (
            {"classifiers": {"x": {"extends": "y"}, "y": {"extends": "x"}}},
            "classifiers: x extends y extends x, a circle",
        ),
        ({"compare": {"classifiers": ["m3"]}}, "compare.classifiers: no classifier 'm3'"),
        ({"compare": {"reference": "m2"}}, "compare.reference: no compared classifier 'm2'"),
        ({"folds": [10]}, "folds.0: expected at most 9. Found 10."),
        (
            {"classifiers": {"m2-demo": {"init_from": "fpr"}}},
            "classifiers.m2-demo.init_from: detector 'demo' has no FPR network",
        ),
        (
            {"classifiers": {"m2-demo": {"init_from": "fprr"}}},
            "init_from: expected random, fpr, packaged or the path of a folder, with a '/'. Found 'fprr'",
        ),
        (
            {"detectors": {"demo": {"init_from": "packed"}}},
            "init_from: expected packaged or the path of a folder, with a '/'. Found 'packed'",
        ),
        (
            {"classifiers": {"m2-demo": {"test_time_augmentation": 49}}},
            "classifiers.m2-demo.test_time_augmentation: expected at most 48. Found 49.",
        ),
        ({"classifiers": {"m1-64": {"network": {"pool": "max"}}}}, "classifiers.m1-64.network has no key 'pool'"),
        ({"folds": [1, 1]}, "folds: 1 stands there twice. Name it once."),
        (
            {"pages": {"scans": "al"}},
            "pages.scans: expected 'auto' or 'all' or a list. Found 'al'. Did you mean 'all'?",
        ),
        ({"run": []}, "run: expected 1 or more. Found []."),
        ({"cohort": None}, "cohort: expected a mapping. Found null."),
        ({"cohort": {"anatomy_scale": 0.1}}, "cohort.anatomy_scale: expected 0.25 or more. Found 0.1."),
        ({"cohort": {"dsb17_train": -1}}, "cohort.dsb17_train: expected 0 or more. Found -1."),
        ({"cohort": {"dsb17_test": 2.5}}, "cohort.dsb17_test: expected a whole number. Found 2.5."),
        ({"keep_intermediates": 1}, "keep_intermediates: expected true or false. Found 1."),
        ({"resample": {"spacing_mm": float("nan")}}, "resample.spacing_mm: expected a finite number. Found NaN."),
        (
            {"classifiers": {"m2": {"network": {"channels": [1, 2]}}}},
            "channels: expected a list of more than 2. Found [1, 2].",
        ),
        (
            {"detectors": {"a b": {"training": {"steps": 1, "batch": 1}}}},
            "detectors.a b: expected letters, digits, _ and -",
        ),
        (
            {"detectors": {"x": {"training": {"steps": 1}}}},
            "detectors.x.training.batch: expected a value. Found no such key.",
        ),
    ],
)
def test_a_mistake_is_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(LunglineError) as refusal:
        read_config(change)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_an_entry_is_laid_over_the_one_that_it_extends() -> None:
    entries = {"a": {"extends": "b", "training": {"batch": 32}}, "b": {"extends": "m1-64", "network": {"dense": 3}}}
    classifiers = read_config({"classifiers": entries}).classifiers
    expected = classifiers["m1-64"].model_dump()
    expected["training"]["batch"], expected["network"]["dense"] = 32, 3
    assert classifiers["a"].model_dump() == expected


def test_a_change_of_an_entry_reaches_those_that_extend_it() -> None:
    detectors = read_config({"detectors": {"paper": {"network": {"base_channels": 8}}}}).detectors
    assert detectors["paper-wp500"].network.base_channels == 8
    assert detectors["paper-wp500"].loss.positive == 500


def test_a_detector_says_how_its_candidates_are_picked_otherwise() -> None:
    config = read_config({"extract_candidates": {"count": 7}, "detectors": {"demo": {"candidates": {"split": True}}}})
    assert config.candidate_settings("paper") == config.extract_candidates
    assert config.candidate_settings("demo").model_dump() == {
        "threshold": 0.8, "count": 7, "rank_by": "sum", "split": True, "min_finding_score": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "expected YAML"),
        ("- a", "expected a mapping of keys to values. Found list"),
        ("seed: one", "seed: expected a whole number"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "wrong.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(LunglineError, match=words) as refusal:
        read_config_files([tmp_path / "wrong.yaml"])
    assert "\n" not in str(refusal.value)


def test_a_saved_configuration_that_is_damaged_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "saved.json").write_text("{", encoding="utf-8")
    with pytest.raises(LunglineError, match=r"saved\.json: expected a configuration as JSON"):
        read_saved_config(tmp_path / "saved.json")


def test_keys_of_another_workflow_are_those_that_are_no_slip_of_ours() -> None:
    theirs = ["samples", "dataset", "reads", "ref"]
    assert foreign_keys(dict.fromkeys([*theirs, "seed", "seeed", "modles", "out_dir", "cohrt", "figure"])) == theirs
