"""What a run will cost is said before it starts."""

from pathlib import Path

import pytest
import yaml

from lungline.config.loading import read_config
from lungline.errors import LunglineError
from lungline.reports.cost_table import Training, plan_text
from lungline.stages import plan

CONFIG = Path(__file__).resolve().parents[3] / "config"


def test_hours_are_networks_times_steps_times_seconds():
    assert Training("detector d", 3, 600, 2.0).hours == 1.0
    assert Training("classifier s", 1, 600, None).hours is None


def test_every_training_of_a_preset_is_timed(capsys):
    plan.run(configfile=(CONFIG / "micro.yaml",), default=CONFIG / "config.yaml", steps=1, device="cpu")
    said = capsys.readouterr().out
    assert "| detector micro | 3 | 12 | " in said
    assert "| classifier m2-micro | 1 | 4 | " in said
    assert "20 scans (10 luna16, 10 dsb17)" in said


def test_second_stages_and_whole_volumes_are_timed_where_their_size_is_known(capsys, tmp_path):
    network = {"shape_zyx": [8, 8, 8], "channels": [2] * 6, "dense": 4}
    change = {
        "run": ["m2-micro", "m1-micro", "unknown"],
        "detectors": {"micro": {"fpr": {"network": network, "training": {"steps": 7, "batch": 2}}}},
        "classifiers": {"m1-micro": {"training": {"batch": 4, "micro_batch": 2}}},
    }
    change["classifiers"]["unknown"] = {"extends": "m1-full", "training": {"steps": 3}}
    (tmp_path / "more.yaml").write_text(yaml.safe_dump(change))
    files = (CONFIG / "micro.yaml", tmp_path / "more.yaml")
    plan.run(configfile=files, default=CONFIG / "config.yaml", steps=1, device="cpu")
    said = capsys.readouterr().out
    assert "| false-positive reduction micro | 1 | 7 | " in said
    assert "| classifier m1-micro | 1 | 4 | not timed" not in said
    assert "| classifier m1-micro | 1 | 4 | " in said
    assert "| classifier unknown | 1 | 3 | not timed | not timed |" in said


def test_models_that_are_given_cost_no_training(capsys, tmp_path):
    models = {"models": {"detectors": {"micro": "d"}, "classifiers": {"m2-micro": "s"}}, "data": {"luna16": "nowhere"}}
    (tmp_path / "given.yaml").write_text(yaml.safe_dump(models))
    plan.run(configfile=(CONFIG / "micro.yaml", tmp_path / "given.yaml"), default=CONFIG / "config.yaml", device="cpu")
    said = capsys.readouterr().out
    assert "detector" not in said.split("Training:")[0].splitlines()[-2]
    assert "Training: 0 hours" in said
    assert "888 luna16, as published" in said


def test_disk_of_the_synthetic_cohort_follows_the_size_of_its_chests():
    configs = (read_config({"cohort": {"anatomy_scale": scale}}) for scale in (1, 0.5))
    whole, half = (plan_text([], {"dsb17": 100}, config, "cpu") for config in configs)
    assert "about 2.2 GB, and 17.1 GB" in whole
    assert "about 0.275 GB, and 2.14 GB" in half


def test_a_mistake_in_the_configuration_is_refused(tmp_path):
    (tmp_path / "wrong.yaml").write_text("run: [m9]\n")
    with pytest.raises(LunglineError, match="no classifier 'm9'"):
        plan.run(configfile=(tmp_path / "wrong.yaml",), default=CONFIG / "config.yaml")
