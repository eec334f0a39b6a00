"""The workflow as others use workflows: as a module, from another folder, deployed, planned without lungline."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lungline.runner.locks import hold
from lungline.workflow.study import PACKAGED_FOLDER
from tests.snakemake_server import run_snakemake
from workflow_copy import Workflow

pytestmark = pytest.mark.workflow

COHORT = {"luna16_scans": 10, "dsb17_train": 3, "dsb17_test": 1, "anatomy_scale": 0.3}
SMALL = {"cohort": COHORT, "run": ["all-negative"]}
Run = Callable[..., subprocess.CompletedProcess[str]]
Plan = Callable[..., str]


def module(workflow: Workflow, config: object = SMALL, name: str = "lungline", more: str = "") -> str:
    """The statement that makes the workflow a module."""
    text = config if isinstance(config, str) else repr(config)
    return f"module {name}:\n    snakefile: {str(workflow.folder / 'Snakefile')!r}\n    config: {text}\n{more}\n"


def top(inputs: str) -> str:
    """The target of the workflow around it."""
    return f"rule top:\n    default_target: True\n    input: {inputs}\n"


@pytest.fixture
def snakemake(workflow: Workflow, tmp_path: Path) -> Run:
    """Snakemake in an empty folder, of a Snakefile of somebody else."""

    def run(text: str | None, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        if text is not None:
            (tmp_path / "Snakefile").write_text(text, encoding="utf-8")
        return run_snakemake(("--cores", "1", *words), tmp_path, {**workflow.environment, **environment})

    return run


@pytest.fixture
def plan(snakemake: Run, tmp_path: Path) -> Plan:
    """What a dry run says, which leaves nothing behind."""

    def run(text: str | None, *words: str, **environment: str) -> str:
        before = {*tmp_path.rglob("*"), tmp_path / "Snakefile"}
        answer = snakemake(text, "--dry-run", "--printshellcmds", *words, **environment)
        assert answer.returncode == 0, answer.stdout
        assert [path for path in tmp_path.rglob("*") if path not in before and ".snakemake" not in path.parts] == []
        return answer.stdout

    return run


def answers(said: str) -> set[str]:
    """Tables of answers that a dry run would write."""
    return set(re.findall(r"^Shell command: cp \S+ (\S+)", said, re.MULTILINE))


def jobs(said: str) -> set[str]:
    """Rules of a dry run."""
    table = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", said, re.MULTILINE)
    assert table, said
    return {line.split()[0] for line in table[1].splitlines()} - {"total"}


# ---- as a module -------------------------------------------------------------------------------------------


def test_a_module_with_a_short_configuration_is_planned_whole(workflow: Workflow, plan: Plan) -> None:
    said = plan(module(workflow) + "use rule * from lungline\n")
    assert {"ingest", "train_classifier", "first_predictions", "all"} <= jobs(said)
    assert "results/demo/predictions.csv" in answers(said)


def test_the_first_rule_around_a_module_stays_the_target(workflow: Workflow, plan: Plan) -> None:
    own = "rule own:\n    output: 'own.txt'\n    shell: 'touch {output}'\n"
    assert jobs(plan(own + module(workflow) + "use rule * from lungline as ll_*\n")) == {"own"}


def test_two_modules_with_two_configurations_do_not_mix(workflow: Workflow, plan: Plan) -> None:
    text = "".join(
        module(workflow, {**SMALL, "run": ["m2-demo"], "outdir": f"out/{name}", "seed": seed}, name)
        + f"use rule * from {name} as {name}_*\n"
        for name, seed in (("one", 1), ("two", 2))
    )
    said = plan(text + top("rules.one_all.input, rules.two_all.input"))
    assert answers(said) == {"out/one/predictions.csv", "out/two/predictions.csv"}
    assert all(name.startswith(("one_", "two_", "top")) for name in jobs(said))
    commands = [line for line in said.splitlines() if "lungline " in line]
    assert [line for line in commands if "out/one" in line and "out/two" in line] == []
    assert "--seed 1" in said
    assert "--seed 2" in said


def test_single_rules_are_used_under_names_of_ones_own(workflow: Workflow, plan: Plan, tmp_path: Path) -> None:
    manifest = "scan,source,dataset,split,fold,label\nmine,nifti,folder,test,,\n"
    (tmp_path / "manifest.csv").write_text(manifest, encoding="utf-8")
    raw = tmp_path / "private" / "raw" / "mine"
    raw.parent.mkdir(parents=True)
    raw.touch()
    said = plan(
        module(workflow, {"run": ["all-negative"], "manifest": "manifest.csv"})
        + "use rule ingest, resample, segment_lungs from lungline as ll_*\n"
        + top("'results/demo/segment_lungs/mine.h5'")
    )
    assert jobs(said) == {"ll_ingest", "ll_resample", "ll_segment_lungs", "top"}


def test_a_rule_is_changed_after_all_are_used(workflow: Workflow, plan: Plan) -> None:
    said = plan(
        module(workflow)
        + "use rule * from lungline as ll_*\n"
        + "use rule write_cohort_tables from lungline as ll_write_cohort_tables with:\n    message: 'changed here'\n"
        + top("'results/demo/cohort/ground_truth.csv'")
    )
    assert jobs(said) == {"ll_write_cohort_tables", "top"}
    assert "changed here" in said


def test_keys_of_the_workflow_around_it_stand_beside_ours(workflow: Workflow, plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "samples: a.tsv\ndataset: mine\nrun: [all-negative]\ncohort: {luna16_scans: 10}\n", encoding="utf-8"
    )
    said = plan("configfile: 'config.yaml'\n" + module(workflow, "config") + "use rule * from lungline\n")
    assert "train_classifier" in jobs(said)


def test_a_part_of_the_configuration_around_it_is_ours(workflow: Workflow, plan: Plan) -> None:
    text = module(workflow, "config['lungline']") + "use rule * from lungline\n"
    assert "train_classifier" in jobs(plan(f"config = {{'samples': 1, 'lungline': {SMALL}}}\n{text}"))


def test_a_misspelt_key_of_ours_is_refused_in_a_module_too(workflow: Workflow, snakemake: Run) -> None:
    answer = snakemake(module(workflow, {"cohrt": COHORT}) + "use rule * from lungline\n", "-n")
    assert answer.returncode == 1
    assert "has no key 'cohrt'. Did you mean 'cohort'?" in answer.stdout


def test_a_prefix_moves_all_that_is_made_and_nothing_that_is_given(
    workflow: Workflow, plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("weights.safetensors", "card.json"):
        (tmp_path / "mine" / name).touch()
    config = {**SMALL, "run": ["m2-demo"], "models": {"classifiers": {"m2-demo": "mine"}}}
    said = plan(
        module(workflow, config, more="    prefix: 'moved'\n") + "use rule * from lungline\n" + top("rules.all.input")
    )
    assert answers(said) == {"moved/results/demo/predictions.csv"}
    assert re.findall(r"(?<!moved/)results/demo\S*", said) == []
    assert f"--model {tmp_path}/mine " in said
    assert "moved/mine" not in said


def test_the_run_lock_and_the_file_of_the_configuration_hold_in_a_module(
    workflow: Workflow, snakemake: Run, tmp_path: Path
) -> None:
    table = "moved/out/cohort/ground_truth.csv"
    text = (
        module(workflow, {**SMALL, "outdir": "out", "samples": 1}, more="    prefix: 'moved'\n")
        + "use rule write_cohort_tables from lungline as ll_*\n"
        + top(repr(table))
    )
    held = hold(tmp_path / "moved" / "out")
    refused = snakemake(text)
    assert refused.returncode == 1
    assert "another run is at work here" in refused.stdout
    assert not (tmp_path / table).exists()
    held.close()
    done = snakemake(text)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / table).is_file()
    assert (tmp_path / "moved" / "out" / "private" / "config.json").is_file()
    assert "Keys that lungline leaves to the workflow around it: samples." in done.stdout


def test_a_job_that_fails_in_a_module_says_how_to_go_on(workflow: Workflow, snakemake: Run) -> None:
    text = (
        module(workflow)
        + "use rule write_cohort_tables from lungline as ll_*\n"
        + "rule fails:\n    output: 'never'\n    shell: 'exit 1'\n"
        + top("'never'")
    )
    answer = snakemake(text)
    assert answer.returncode == 1
    assert answer.stdout.count("then run the same command again: it goes on.") == 1


# ---- from anywhere -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("--directory", "elsewhere")], ids=["here", "directory"])
def test_the_snakefile_is_run_from_another_folder(workflow: Workflow, plan: Plan, tmp_path: Path, more) -> None:
    (tmp_path / "elsewhere").mkdir()
    said = plan(None, "--snakefile", str(workflow.folder / "Snakefile"), *more, "--config", "run=['all-negative']")
    assert "results/demo/predictions.csv" in answers(said)


def test_packaged_weights_are_found_from_anywhere(workflow: Workflow, snakemake: Run, plan: Plan, tmp_path) -> None:
    (tmp_path / "data" / "scans").mkdir(parents=True)
    (tmp_path / "data" / "scans" / "one.nii").touch()
    preset = str(workflow.folder / "config" / "real.yaml")
    command = [sys.executable, "-m", "lungline.cli", "list-scans", "--configfile", preset]
    subprocess.run(command, cwd=tmp_path, env=workflow.environment, check=True)
    said = plan(None, "-s", str(workflow.folder / "Snakefile"), "--configfile", preset)
    place = workflow.folder / "src" / "lungline" / PACKAGED_FOLDER.name
    assert f"--detector {place}/detector " in said
    assert f"--model {place}/classifier " in said


ODD = """o'ut "$HOME" [1];(2) -x &"""


def test_words_of_commands_stay_whole_in_odd_folders(workflow: Workflow, tmp_path: Path) -> None:
    folder = tmp_path / "-a 'b' [c]"
    folder.mkdir()
    config = {**SMALL, "outdir": ODD, "run": ["m2-demo"], "detect": {"jobs": None}}
    (folder / "Snakefile").write_text(module(workflow, config) + "use rule * from lungline\n", encoding="utf-8")
    planned = run_snakemake(("--cores", "1", "--dry-run", "--printshellcmds"), folder, workflow.environment)
    commands = re.findall(r"^Shell command: (.* .*)", planned.stdout, re.MULTILINE)
    assert len(commands) > 60, planned.stdout
    for command in commands:
        words = shlex.shlex(command, posix=True, punctuation_chars=True)
        words.whitespace_split, words.commenters = True, ""
        found = [word for word in words if ODD[:3] in word]
        assert found
        assert [word for word in found if word != ODD and not word.startswith(f"{ODD}/")] == []
    target = f"{ODD}/resample/{re.findall(r'ingest/([0-9.]+)[.]h5', planned.stdout)[0]}.h5"
    done = run_snakemake(("--cores", "1", "--", target), folder, workflow.environment)
    assert done.returncode == 0, done.stdout
    assert (folder / target).is_file()


# ---- deployed ----------------------------------------------------------------------------------------------


def test_what_snakedeploy_writes_is_planned_from_a_git_repository(
    workflow: Workflow, plan: Plan, tmp_path: Path
) -> None:
    """`gitfile` reads a module out of a repository as `github` does, without a network: its files lie in no folder."""
    repository = tmp_path.parent / f"{tmp_path.name}-repository"
    repository.mkdir()
    git = ["git", "-c", "user.name=t", "-c", "user.email=t", f"--work-tree={workflow.folder}", "-C", str(repository)]
    subprocess.run(["git", "init", "--quiet", str(repository)], check=True)
    parts = ("Snakefile", "workflow", "rules", "config", "envs", "report")
    subprocess.run([*git, f"--git-dir={repository}/.git", "add", "--", *parts], cwd=workflow.folder, check=True)
    subprocess.run([*git, f"--git-dir={repository}/.git", "commit", "--quiet", "-m", "all"], check=True)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(
        f"""
from snakemake.utils import min_version
min_version("6.10.0")
configfile: "config/config.yaml"
module lungline:
    snakefile:
        gitfile({str(repository)!r}, path="workflow/Snakefile", ref="HEAD")
    config:
        config
use rule * from lungline
""",
        encoding="utf-8",
    )
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("run: [all-negative]\n", encoding="utf-8")
    assert "results/demo/predictions.csv" in answers(plan(None))


CONDA = """#!/bin/sh
case "$*" in
"info --json"*) echo '{"conda_version": "25.1.0", "conda_prefix": "/x", "root_prefix": "/x", "platform": "linux-64"}';;
*--json*) echo '{"get": {"channel_priority": "strict"}}';;
*) echo "conda 25.1.0";;
esac
"""


def test_a_plan_with_conda_needs_no_more_than_lungline_beside_snakemake(
    workflow: Workflow, plan: Plan, tmp_path: Path
) -> None:
    """No conda is here: a stand-in answers what Snakemake asks before it plans."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "conda").write_text(CONDA, encoding="utf-8")
    (tmp_path / "bin" / "conda").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{workflow.environment['PATH']}"
    text = module(workflow) + "use rule * from lungline\n"
    assert "train_classifier" in jobs(plan(text, "--sdm", "conda", PATH=path))


def test_without_lungline_one_line_says_how_to_get_it(workflow: Workflow, snakemake: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing" / "lungline").mkdir(parents=True)
    (tmp_path / "nothing" / "lungline" / "__init__.py").write_text(
        "raise ModuleNotFoundError('No module named lungline', name='lungline')", encoding="utf-8"
    )
    answer = snakemake(
        None, "-n", "-s", str(workflow.folder / "Snakefile"), "--sdm", "conda", PYTHONPATH=str(tmp_path / "nothing")
    )
    assert answer.returncode == 1
    assert "lungline is not installed beside Snakemake, which needs it to plan: pip install 'lungline[" in answer.stdout
    assert "Traceback" not in answer.stdout
