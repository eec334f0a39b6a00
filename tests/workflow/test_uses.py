"""The workflow as other workflows use workflows: as a module, from another folder, deployed, without lungline beside it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.repository import REPOSITORY
from workflow_copy import Workflow

SMALL = {
    "cohort": {"luna16_scans": 10, "dsb17_train": 3, "dsb17_test": 1, "anatomy_scale": 0.3},
    "run": ["all-negative"],
}
TOP = "rule top:\n    default_target: True\n    input: {inputs}\n"
Plan = Callable[..., str]


def module(workflow: Workflow, name: str = "lungline", config: str = repr(SMALL), more: str = "") -> str:
    place = str(workflow.folder / "Snakefile")
    return f"module {name}:\n    snakefile: {place!r}\n    config: {config}\n{more}\n"


@pytest.fixture
def snakemake(workflow: Workflow, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Snakemake in an empty folder, of a Snakefile of somebody else."""

    def run(text: str | None, *words: str, python: str = sys.executable, **environment: str):
        if text is not None:
            (tmp_path / "Snakefile").write_text(text, encoding="utf-8")
        return subprocess.run(
            [python, "-m", "snakemake", "--cores", "1", *words],
            cwd=tmp_path,
            env={**workflow.environment, **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )

    return run


@pytest.fixture
def plan(snakemake, tmp_path: Path) -> Plan:
    """What a dry run says; nothing is written by it."""

    def run(text: str | None, *words: str, **options: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        answer = snakemake(text, "--dry-run", *words, **options)
        assert answer.returncode == 0, answer.stdout
        new = [path for path in sorted(tmp_path.rglob("*")) if path not in before and ".snakemake" not in path.parts]
        assert [path for path in new if path.name != "Snakefile"] == []
        return answer.stdout

    return run


def made(said: str) -> set[str]:
    """Files that a dry run would make."""
    return {name for line in re.findall(r"^    output: (.+)$", said, re.MULTILINE) for name in line.split(", ")}


def rules(said: str) -> set[str]:
    return set(re.findall(r"^(?:local)?rule (\w+):$", said, re.MULTILINE))


# ---- as a module -------------------------------------------------------------------------------------------


def test_a_module_with_a_short_configuration_is_planned_whole(workflow: Workflow, plan: Plan) -> None:
    said = plan(module(workflow) + "use rule * from lungline\n")
    assert {"ingest", "train_system", "first_predictions", "all"} <= rules(said)
    assert "results/demo/predictions.csv" in made(said)


def test_two_modules_with_two_configurations_do_not_mix(workflow: Workflow, plan: Plan) -> None:
    first, second = ({**SMALL, "outdir": name, "seed": seed} for name, seed in (("out/a", 1), ("out/b", 2)))
    said = plan(
        module(workflow, "one", repr(first))
        + module(workflow, "two", repr(second))
        + "use rule * from one as one_*\nuse rule * from two as two_*\n"
        + TOP.format(inputs="rules.one_all.input, rules.two_all.input")
    )
    assert {"out/a/predictions.csv", "out/b/predictions.csv"} <= made(said)
    assert all(name.startswith(("one_", "two_", "top")) for name in rules(said))
    ingested = re.search(r"rule two_train_system:\n    input: (.+)", said)
    assert ingested
    assert "out/a" not in ingested[1]


def test_single_rules_are_used_under_names_of_ones_own(workflow: Workflow, plan: Plan) -> None:
    said = plan(
        module(workflow)
        + "use rule draw_luna16_scan, ingest, resample, segment_lungs from lungline as ll_*\n"
        + "use rule ingest from lungline as ll_ingest with:\n    priority: 50\n"
        + TOP.format(
            inputs="'results/demo/segment_lungs/' + list(lungline.STUDY.where(dataset=('luna16',)))[0] + '.h5'"
        )
    )
    assert rules(said) == {"ll_draw_luna16_scan", "ll_ingest", "ll_resample", "ll_segment_lungs", "top"}
    assert "priority: 50" in said


def test_a_prefix_moves_all_that_is_made_and_nothing_that_is_given(workflow: Workflow, plan: Plan) -> None:
    given = {**SMALL, "models": {"systems": {"all-negative": "my/model"}}}
    (Path("my") / "model")
    said = plan(
        module(workflow, config=repr(given), more="    prefix: 'moved'\n")
        + "use rule * from lungline as ll_*\n"
        + TOP.format(inputs="'moved/results/demo/predict_cancer/all-negative.csv'"),
        "--printshellcmds",
        "--touch" if False else "--verbose" if False else "--quiet=host",
    )
    assert said
