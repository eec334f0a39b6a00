"""A name of an earlier version is refused in one line that says what it is called now."""

import inspect
import json

import h5py
import pytest
import torch

from lungline.cli import commands, main
from lungline.config.loading import read_config
from lungline.config.reference import reference_text
from lungline.detection.candidates import read_candidates
from lungline.errors import CorruptFileError, LunglineError
from lungline.evaluation.cancer_metrics import METRICS
from lungline.former_names import (
    CARD_KEYS,
    COLUMNS,
    COMMANDS,
    KEYS,
    OPTIONS,
    VALUES,
    now_called,
    tensor_now_called,
)
from lungline.nodules import table as nodule_table
from lungline.stages import describe_nodules, rank_candidates, train_classifier
from lungline.storage import hdf5, predictions
from lungline.storage.frames import read_frame
from lungline.storage.predictions import read_predictions
from lungline.storage.tables import read_rows
from lungline.storage.weights import read_card, read_tensors, write_tensors
from lungline.workflow.bundle import PACKAGED, read_bundle

CHEST = {"path": "a.mhd", "source": "mhd", "splits": ["train"]}
TRAINING = {"steps": 1, "batch": 1}


def test_no_name_stands_for_two() -> None:
    for names in (KEYS, COMMANDS, OPTIONS, COLUMNS, CARD_KEYS):
        assert not set(names) & set(names.values())
        assert len(set(names.values())) == len(names)


@pytest.mark.parametrize(
    ("config", "where", "old"),
    [
        ({"sheet": "manifest.csv"}, "top level", "sheet"),
        ({"inserted": {}}, "top level", "inserted"),
        ({"systems": {}}, "top level", "systems"),
        ({"training_threads": {"train_system": 1}}, "training_threads", "train_system"),
        ({"models": {"systems": {}}}, "models", "systems"),
        ({"compare": {"systems": ["m2"]}}, "compare", "systems"),
        ({"detectors": {"demo": {"reduction": None}}}, "detectors.demo", "reduction"),
        ({"detectors": {"best": {"fpr": {"turns": 2}}}}, "detectors.best.fpr", "turns"),
        ({"detectors": {"best": {"fpr": {"distort": True}}}}, "detectors.best.fpr", "distort"),
        ({"detectors": {"demo": {"training": {"keep": "last"}}}}, "detectors.demo.training", "keep"),
        ({"classifiers": {"m2": {"augment": True}}}, "classifiers.m2", "augment"),
        ({"classifiers": {"m2": {"at_least": 0.1}}}, "classifiers.m2", "at_least"),
        ({"classifiers": {"m2": {"start": "random"}}}, "classifiers.m2", "start"),
        ({"classifiers": {"m2": {"learn_from": "nodules"}}}, "classifiers.m2", "learn_from"),
        ({"classifiers": {"m2": {"network": {"measured": True}}}}, "classifiers.m2.network", "measured"),
        ({"classifiers": {"all-negative": {"probability": 0}}}, "classifiers.all-negative", "probability"),
        (
            {"implanted": {"nodules": "n", "chests": {"a": CHEST}, "scans": {"train": {"harmless": 1}}}},
            "implanted.scans.train",
            "harmless",
        ),
    ],
)
def test_a_former_key_is_refused_with_its_name(config, where, old) -> None:
    with pytest.raises(LunglineError) as refused:
        read_config(config)
    assert f"{where} has no key '{old}'. '{old}' is called '{KEYS[old]}' now." in str(refused.value)


def test_every_key_and_value_has_a_name_that_the_configuration_knows() -> None:
    page = reference_text()
    assert all(f"| `{new}` |" in page for new in KEYS.values())
    assert all(f"`{new}`" in page for new in VALUES.values())


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"kind": "patches"}, "Found 'patches'. 'patches' is called 'candidate' now."),
        ({"kind": "volume"}, "Found 'volume'. 'volume' is called 'whole_volume' now."),
        ({"kind": "constant"}, "Found 'constant'. 'constant' is called 'baseline' now."),
        (
            {"kind": "candidate", "detector": "demo", "init_from": "reduction", "training": TRAINING},
            "Found 'reduction'. 'reduction' is called 'fpr' now.",
        ),
    ],
)
def test_a_former_value_is_refused_with_its_name(entry, sentence) -> None:
    with pytest.raises(LunglineError) as refused:
        read_config({"classifiers": {"mine": entry}})
    assert str(refused.value).endswith(sentence)


@pytest.mark.parametrize("old", COMMANDS)
def test_a_former_command_is_refused_with_its_name(old, capsys) -> None:
    assert COMMANDS[old] in commands()
    assert main([old, "x"]) == 2
    assert f"no command '{old}'. '{old}' is called '{COMMANDS[old]}' now." in capsys.readouterr().err


def test_a_former_option_is_refused_with_its_name(capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["predict", "scan", "--pipeline", "mine.json"])
    assert stop.value.code == 2
    assert "'--pipeline' is called '--bundle' now." in capsys.readouterr().err


def test_every_option_has_a_name_that_a_command_knows() -> None:
    own = set()
    for stage in (train_classifier, rank_candidates, describe_nodules):
        own |= {f"--{name.replace('_', '-')}" for name in inspect.signature(stage.run).parameters}
    own |= {"--bundle", "--ground-truth", "--quarantine-damaged", "--segmentations", "--supervision", "--synthetic"}
    assert set(OPTIONS.values()) <= own
    assert now_called("--system", OPTIONS, own) == " '--system' is called '--classifier' now."


def test_a_table_with_former_columns_is_refused_with_their_names(tmp_path) -> None:
    path = tmp_path / "predictions.csv"
    former = {new: old for old, new in COLUMNS.items() if old != "code"}
    path.write_text(",".join(former.get(name, name) for name in predictions.COLUMNS) + "\n")
    with pytest.raises(LunglineError) as refused:
        read_predictions(path)
    for old in ("system", "codes", "probability"):
        assert f"'{old}' is called '{COLUMNS[old]}' now." in str(refused.value)


def test_columns_of_a_frame_are_refused_with_their_names(tmp_path) -> None:
    path = tmp_path / "comparison.csv"
    path.write_text("system,auc\nm2,0.5\n")
    with pytest.raises(LunglineError, match=r"'system' is called 'classifier' now\. Make it again"):
        read_frame(path, ["classifier", "auc"])


def test_another_column_that_is_missing_has_no_former_name(tmp_path) -> None:
    path = tmp_path / "candidates.csv"
    path.write_text("scan,rank\n")
    with pytest.raises(LunglineError) as refused:
        read_candidates(path)
    assert "is called" not in str(refused.value)
    assert read_rows(path, ("scan", "rank")) == []


def test_every_column_has_a_name_that_a_table_knows() -> None:
    own = {*predictions.COLUMNS, *nodule_table.COLUMNS, "flag"}  # of notes
    assert set(COLUMNS.values()) <= own
    assert not set(COLUMNS) & set(METRICS)


@pytest.mark.parametrize("old", CARD_KEYS)
def test_a_former_card_and_bundle_are_refused(tmp_path, old) -> None:
    path = tmp_path / "card.json"
    path.write_text(json.dumps({old: {}}))
    for read in (read_card, read_bundle):
        with pytest.raises(LunglineError, match=f"'{old}' is called '{CARD_KEYS[old]}' now"):
            read(path)


def test_a_file_of_the_former_layout_is_refused(tmp_path) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file.attrs.update(format="lungline", format_version=1)
    with pytest.raises(CorruptFileError, match=r"Expected format_version 2\. Found 1\. .*run the workflow again"):
        hdf5.read_header(path)


def test_former_tensors_are_read_by_their_present_names(tmp_path) -> None:
    path = tmp_path / "weights.safetensors"
    write_tensors(path, {"measured.scale": torch.ones(()), "unseen": torch.ones(()), "conv1.bias": torch.ones(1)}, {})
    assert set(read_tensors(path)[0]) == {"hand_crafted_features.scale", "leak_logit", "conv1.bias"}
    assert tensor_now_called("unseen") == "leak_logit"
    assert {"hand_crafted_features.weight"} <= set(read_tensors(PACKAGED.parent / "classifier/weights.safetensors")[0])
