"""`lungline reproduce`: an answer is derived again to the byte, and what changed is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from lungline.cli import main
from lungline.runner import made_with
from lungline.stages import predict, reproduce
from lungline.storage import results
from lungline.synthetic.cohort import plan_scan
from lungline.synthetic.phantom import simulate_scan_hu
from lungline.synthetic.writers import write_mhd
from scans import chest
from scans import write_mhd as small_mhd
from untrained import untrained_bundle


@pytest.fixture(scope="module")
def answered(tmp_path_factory) -> Path:
    """A folder with a scan, models and the answer."""
    folder = tmp_path_factory.mktemp("reproduce")
    write_mhd(folder / "scans" / "a.mhd", simulate_scan_hu(plan_scan("luna16", 3, 1, 0.3)))
    (folder / "models").mkdir()
    bundle = untrained_bundle(folder / "models")
    options = {"bundle": bundle, "device": "cpu", "pages": False, "dicom": False, "masks": True}
    assert predict.run(folder / "scans", out=folder / "out", **options) == 0
    return folder


def again(folder: Path, **changes: Path) -> int:
    paths = {"scans": folder / "scans", "bundle": folder / "models" / "bundle.json", **changes}
    return reproduce.run(folder / "out", paths["scans"], bundle=paths["bundle"], device="cpu")


def test_an_untouched_answer_is_the_same_also_from_another_place(answered, tmp_path, capsys):
    shutil.copytree(answered / "scans", tmp_path / "elsewhere")
    before = {path: path.read_bytes() for path in answered.rglob("*") if path.is_file()}
    assert again(answered, scans=tmp_path / "elsewhere") == 0
    said = capsys.readouterr().out
    assert "1 of 1 answers are the same to the byte" in said
    assert "may be why" not in said
    assert before == {path: path.read_bytes() for path in answered.rglob("*") if path.is_file()}


def test_a_changed_input_is_named(answered, capsys):
    path = answered / "scans" / "a.mhd"
    kept = path.read_text()
    try:
        path.write_text(kept.replace("CenterOfRotation = 0 0 0\n", ""))
        assert again(answered) == 1
        said = capsys.readouterr().out
        assert "may be why: input: the files were" in said
        assert "answers/" in said  # it holds the hash
        (answered / "others").mkdir()
        small_mhd(answered / "others" / "b.mhd", chest())
        assert again(answered, scans=answered / "others") == 1
        assert "none of the scans has the files that were answered" in capsys.readouterr().out
    finally:
        path.write_text(kept)


def test_changed_weights_are_named(answered, tmp_path, monkeypatch, capsys):
    seed = torch.manual_seed
    monkeypatch.setattr(torch, "manual_seed", lambda _: seed(7))
    other = untrained_bundle(tmp_path)
    monkeypatch.undo()
    assert again(answered, bundle=other) == 1
    said = capsys.readouterr().out
    assert "may be why: weights, z/weights.safetensors: was" in said
    assert "candidates/" in said


def test_a_changed_version_processor_and_library_are_named(answered, monkeypatch, capsys):
    monkeypatch.setattr(made_with, "__version__", "9.9")
    monkeypatch.setattr(results, "__version__", "9.9")
    monkeypatch.setattr(made_with, "_processor", lambda device: "another one")
    monkeypatch.setattr(made_with, "_version", lambda name: "0.0.1")
    assert again(answered) == 1
    said = capsys.readouterr().out
    assert ".json: differs in lungline_version" in said
    assert "may be why: lungline: was 0.1.0, is 9.9" in said
    assert ", is another one" in said
    assert "libraries, numpy: was 2." in said


def test_a_file_that_was_edited_is_told_from_one_that_cannot_be_reproduced(answered, capsys):
    (table,) = (answered / "out" / "nodules").glob("*.csv")
    kept = table.read_text()
    try:
        table.write_text(kept + kept.splitlines()[-1] + "\n")
        assert again(answered) == 1
        said = capsys.readouterr().out
        assert "changed since it was written" in said
        assert "nothing that is recorded" in said
    finally:
        table.write_text(kept)


def test_settings_are_those_that_were_recorded_and_what_was_not_is_said(answered, capsys):
    (note,) = (answered / "out" / "answers").glob("*.json")
    kept = note.read_text()
    content = json.loads(kept)
    try:
        content["made_with"]["settings"]["extract_candidates"]["count"] = 2
        del content["made_with"]["processor"]
        note.write_text(json.dumps(content))
        assert again(answered) == 1
        assert "although" not in (said := capsys.readouterr().out)
        assert "candidates/" in said
        assert "may be why: processor: not recorded" in said
        note.write_text(json.dumps({"state": "x"}))
        assert again(answered) == 0
        assert "although: settings: not recorded" in capsys.readouterr().out
    finally:
        note.write_text(kept)


def test_points_that_were_given_and_are_not_named_are_asked_for(answered, capsys):
    (note,) = (answered / "out" / "answers").glob("*.json")
    kept = note.read_text()
    content = json.loads(kept)
    content["made_with"]["settings"]["score_points"] = {"reach_mm": 0.0}
    try:
        note.write_text(json.dumps(content))
        assert again(answered) == 1
        assert (
            "cannot be derived again: it was given points of a table. Name that table: --points."
            in capsys.readouterr().out
        )
    finally:
        note.write_text(kept)


def test_a_folder_without_answers_is_one_line(tmp_path, capsys):
    assert main(["reproduce", str(tmp_path), str(tmp_path)]) == 2
    assert "expected OUT of `lungline predict`" in capsys.readouterr().err
