"""Figures of a finished run come into the result files of the documentation."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from experiments import take
from experiments.figures import RESULTS, markdown, table_of, text_of
from experiments.pretrained.implanted import Line
from lungline.evaluation.intervals import Estimate
from tests.unit.stages.test_evaluation_stages import detection, evaluated, predictions


def test_the_default_run_is_taken_as_its_evaluation_says(tmp_path: Path) -> None:
    found = detection(tmp_path, synthetic=True)
    predictions(tmp_path)
    ground_truth = tmp_path / "ground_truth.csv"
    ground_truth.write_text(
        "dataset,scan,nodule,x_mm,y_mm,z_mm,diameter_mm,kind,malignant\ndsb17,test0,0,1,2,3,20,solid,1\n"
    )
    answered = evaluated(tmp_path, ground_truth=ground_truth, synthetic=True)["splits"]["test"]
    (tmp_path / "evaluate").mkdir()
    shutil.move(tmp_path / "detection.json", tmp_path / "evaluate/detection-demo.json")
    shutil.move(tmp_path / "cancer.json", tmp_path / "evaluate/cancer-m2-demo.json")
    cells = take.demo(tmp_path, "seed1")
    assert {row for _, row, _ in cells} == set(table_of("demo/cohort")["rows"])
    assert text_of(cells["cohort", "recall", "seed1"]).startswith("2 of 3, 0.667 (")
    assert text_of(cells["cohort", "candidates", "seed1"]).startswith("1.3 (")
    assert cells["cohort", "auc", "seed1"]["value"] == answered["metrics"]["auc"]["value"]
    large = [found["candidates"]["recall_by_diameter_mm"][name]["nodules"] for name in ("6-10", ">=10")]
    assert cells["cohort", "recall_6mm", "seed1"] == f"2 of {sum(large)}"


def test_the_figures_of_the_package_are_taken_by_their_names(tmp_path: Path) -> None:
    estimate = Estimate(0.5, 0.25, 0.75, "Wilson")
    lines = [
        Line("pretrained", "recall among 20, nodules of 5 mm and more", "2/4", estimate),
        Line("paper-small", "FP per scan at 80% sensitivity, nodules of all", "4 scans", Estimate(None, reason="none")),
        Line("pretrained", "Dice of the fused mask at 0.7, all nodules", "4", estimate),
        Line("pretrained", "malignancy: Brier score", "1 malignant", estimate),
    ]
    (tmp_path / "figures.json").write_text(json.dumps({"lines": [asdict(line) for line in lines]}))
    assert {place: text_of(value) for place, value in take.pretrained(tmp_path).items()} == {
        ("detection", "recall", "package_5mm"): "2 of 4, 0.500 (0.250 to 0.750)",
        ("detection", "fp", "paper_all"): "not reached",
        ("dice", "all", "package"): "0.500 (0.250 to 0.750)",
        ("malignancy", "brier", "value"): "0.500 (0.250 to 0.750)",
    }


def test_a_taken_cell_replaces_one_and_leaves_the_rest_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "demo.json"
    shutil.copy(RESULTS / "demo.json", path)
    before = json.loads(path.read_text("utf-8"))
    assert take.text_of_study(before) + "\n" == path.read_text("utf-8")
    take.take(path, {("cohort", "auc", "seed2"): {"value": 0.5}}, {"commit": "abc"})
    after = json.loads(path.read_text("utf-8"))
    assert "| 0.500 |" in markdown(after["tables"]["cohort"], ["auc"], ["seed2"])
    assert after["about"]["commit"] == before["about"]["commit"] + "; abc"
    after["tables"]["cohort"]["rows"]["auc"]["seed2"] = before["tables"]["cohort"]["rows"]["auc"]["seed2"]
    assert after["tables"] == before["tables"]
    with pytest.raises(SystemExit, match="no column 'seed9'"):
        take.take(path, {("cohort", "auc", "seed9"): "0"}, {})


def test_a_run_that_is_not_finished_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"expected one file evaluate/detection-\*.json. Found 0"):
        take.demo(tmp_path, "seed1")
