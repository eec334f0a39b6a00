"""`./run`: the environment it makes, the words it gives to Snakemake, and what it says afterwards."""

import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "run"
WORKFLOW = """
rule all:
    input: "a.txt", "b.txt"
rule make:
    output: "{name}.txt"
    message: "Making {wildcards.name}"
    shell: "test {wildcards.name} != FAILS && touch {output}"
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at work in an empty folder, without LUNGLINE_VENV."""
    loader = importlib.machinery.SourceFileLoader("run_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("LUNGLINE_VENV", raising=False)
    loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.chdir(tmp_path)
    return module


def leave_a_lock(folder: Path, of: str = "a.txt") -> Path:
    """What a run that makes a file leaves when it is killed."""
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{folder / of}\n{of}\n", encoding="utf-8")
    return lock


def put_on_path(folder: Path, name: str, script: str) -> None:
    """A program of the environment that only does what a line of shell says."""
    program = folder / ".venv" / "bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@pytest.fixture(autouse=True)
def _no_folders_to_list(tmp_path: Path) -> None:
    put_on_path(tmp_path, "lungline", "exit 0")


# ---- the environment ---------------------------------------------------------------------------------------


@pytest.fixture
def called(run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands that `prepare` calls, none of which is run; venv's only makes the folder."""
    commands: list[str] = []

    def note(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(" ".join(command[2:]))
        (tmp_path / ".venv").mkdir(exist_ok=True)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(run.subprocess, "run", note)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_text("", encoding="utf-8")
    return commands


def test_the_environment_is_made_once(run: ModuleType, called: list[str], tmp_path: Path) -> None:
    run.prepare(set())
    assert called == [
        f"venv {tmp_path / '.venv'}",
        "pip install --quiet --disable-pip-version-check -e . -c constraints.txt",
    ]
    run.prepare(set())
    assert len(called) == 2


def test_tools_for_tests_are_added_and_stay(run: ModuleType, called: list[str], tmp_path: Path) -> None:
    run.prepare(set())
    run.prepare({"test"})
    (tmp_path / "constraints.txt").write_text("numpy==2.4.6", encoding="utf-8")
    run.prepare(set())
    assert [re.search(r"-e (\S+)", command)[1] for command in called[1:]] == [".", ".[test]", ".[test]"]


def test_another_python_makes_the_environment_anew(run: ModuleType, called: list[str], monkeypatch) -> None:
    run.prepare(set())
    monkeypatch.setattr(run.sys, "executable", "/opt/other/python3")
    run.prepare(set())
    assert [command.split()[0] for command in called] == ["venv", "pip", "venv", "pip"]


def test_a_failed_installation_is_tried_again(run: ModuleType, called: list[str], monkeypatch) -> None:
    works = run.subprocess.run
    monkeypatch.setattr(
        run.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, "pip" in command)
    )
    with pytest.raises(SystemExit, match="installation failed"):
        run.prepare(set())
    monkeypatch.setattr(run.subprocess, "run", works)
    run.prepare(set())
    assert [command.split()[0] for command in called] == ["venv", "pip"]


# ---- the words for Snakemake -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], "--cores N"),
        (["predictions"], "--cores N predictions"),
        (["-n", "caches"], "--cores N -n caches"),
        (["-j4"], "-j4"),
        (["--cores=2", "--", "caches"], "--cores=2 -- caches"),
        (["--jobname", "x"], "--cores N --jobname x"),
    ],
)
def test_words_go_to_snakemake_with_all_cores(run: ModuleType, tmp_path: Path, capfd, words: list[str], given) -> None:
    put_on_path(tmp_path, "snakemake", 'echo "$@"')
    assert run.workflow(words) == 0
    assert capfd.readouterr().out == f"--logger=lungline {given.replace('N', str(run.CORES))}\n"


@pytest.mark.parametrize(
    ("words", "listed"),
    [
        ("", ""),
        ("--configfile a.yaml b.yaml -- caches", "--configfile a.yaml b.yaml"),
        ("-k --configfiles a.yaml --config x=1 y=2 -j 4", "--configfile a.yaml --config x=1 y=2"),
        ("caches -C outdir=results/x", "--config outdir=results/x"),
    ],
)
def test_folders_are_listed_first_with_the_same_configuration(run, tmp_path: Path, capfd, words: str, listed) -> None:
    put_on_path(tmp_path, "lungline", 'echo "$@"')
    put_on_path(tmp_path, "snakemake", "echo started")
    assert run.workflow(words.split()) == 0
    assert capfd.readouterr().out == f"list-scans {listed}".strip() + "\nstarted\n"


def test_folders_that_cannot_be_listed_end_the_run(run: ModuleType, tmp_path: Path, capfd) -> None:
    put_on_path(tmp_path, "lungline", "exit 2")
    put_on_path(tmp_path, "snakemake", "echo started")
    assert run.workflow([]) == 2
    assert "started" not in capfd.readouterr().out


def test_a_question_lists_no_folders(run: ModuleType, tmp_path: Path, capfd) -> None:
    put_on_path(tmp_path, "lungline", "echo listed")
    put_on_path(tmp_path, "snakemake", "echo answered")
    assert run.workflow(["-n"]) == 0
    assert capfd.readouterr().out == "answered\n"


def test_the_exit_code_is_that_of_snakemake(run: ModuleType, tmp_path: Path) -> None:
    put_on_path(tmp_path, "snakemake", "exit 3")
    assert run.workflow([]) == 3


def test_an_interrupt_waits_for_snakemake_to_end_its_jobs(tmp_path: Path) -> None:
    put_on_path(tmp_path, "snakemake", "trap 'exit 5' INT; echo started; while :; do sleep 0.1; done")
    environment = {**os.environ, "LUNGLINE_VENV": str(tmp_path / ".venv")}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "started\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=30) == 5


@pytest.mark.parametrize(
    ("words", "is_question"),
    [
        (["-n"], True),
        (["-np", "caches"], True),
        (["--dry-run"], True),
        (["--list-rules"], True),
        (["--nolock"], False),
        (["-k", "--config", "a=-n"], False),
    ],
)
def test_a_question_is_known_by_its_words(run: ModuleType, words: list[str], is_question: bool) -> None:
    assert any(run.ONLY_ASKS.fullmatch(word) for word in words) is is_question


# ---- what is said ------------------------------------------------------------------------------------------


def run_workflow(run: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *words: str) -> int:
    """`./run --cores 1` of a Snakefile, with the programs of this environment."""
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    monkeypatch.setattr(run, "list_scans", lambda words: 0)
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    monkeypatch.setattr(run, "environment", lambda **_: {**os.environ, "PATH": path})
    code: int = run.workflow(["--cores", "1", *words])
    return code


def test_a_job_that_goes_well_is_one_line(run: ModuleType, tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "none")) == 0
    said = capfd.readouterr().err.splitlines()
    jobs = [line for line in said if re.search("Making|done", line)]
    assert sorted(line.rpartition("Making ")[2] for line in jobs[:2]) == ["a", "b"]
    assert jobs[1].startswith("1 of 3 done; ")
    assert jobs[2:] == ["3 of 3 done."]
    assert not [
        line for line in said if re.search(r"Finished|Execute|Select|localrule|jobid|Reason|Host|^\[\w{3} ", line)
    ]
    assert [line for line in said if line.startswith("Complete log")]
    assert not [line for line in said if line.startswith("[run] This folder is locked")]


def test_a_job_that_fails_is_told_in_full(run: ModuleType, tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "b")) == 1
    said = capfd.readouterr().err
    assert re.search(r"Error in rule make:\n    message: .*\n    jobid: \d+\n    output: b.txt\n    shell:\n", said)


def test_a_dry_run_is_told_in_full_on_standard_output(run: ModuleType, tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW, "-n") == 0
    said = capfd.readouterr().out
    assert re.search(r"Job \d: Making b\nReason: Missing output files: b.txt\n", said)
    assert not (tmp_path / "a.txt").exists()


def test_a_quiet_run_says_nothing_of_its_jobs(run: ModuleType, tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW, "--quiet") == 0
    assert not re.search("Making|done", capfd.readouterr().err)


def test_a_lock_that_was_left_is_one_sentence_with_the_command(
    run: ModuleType, tmp_path: Path, monkeypatch, capfd
) -> None:
    lock = leave_a_lock(tmp_path)
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW, "--config", "a=b c") == 1
    *_, last = capfd.readouterr().err.splitlines()
    assert last == (
        "[run] This folder is locked: by a run, or by one that was killed. "
        "If no run is alive, on no machine: ./run --unlock --cores 1 --config 'a=b c'"
    )
    assert lock.exists()
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW, "--unlock") == 0
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW) == 0
    assert (tmp_path / "a.txt").exists()


def test_a_question_is_not_answered_with_a_lock(run: ModuleType, tmp_path: Path, capfd) -> None:
    leave_a_lock(tmp_path)
    put_on_path(tmp_path, "snakemake", "exit 1")
    assert run.workflow(["--lint"]) == 1
    assert "locked" not in capfd.readouterr().err
