"""`./run`: the environment it makes, and `lungline run` in it."""

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


def put_on_path(folder: Path, name: str, script: str) -> None:
    """A program of the environment that only does what a line of shell says."""
    program = folder / ".venv" / "bin" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


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


# ---- the workflow ------------------------------------------------------------------------------------------


def test_all_words_and_the_exit_code_are_those_of_lungline_run(run: ModuleType, tmp_path: Path, capfd) -> None:
    put_on_path(tmp_path, "lungline", 'echo "$LUNGLINE_CALLED_AS, $@"; exit 3')
    assert run.workflow(["-n", "--configfile", "a.yaml"]) == 3
    assert capfd.readouterr().out == "./run, run -n --configfile a.yaml\n"


def test_an_interrupt_waits_for_the_jobs_to_end(tmp_path: Path) -> None:
    put_on_path(tmp_path, "lungline", "trap 'exit 5' INT; echo started; while :; do sleep 0.1; done")
    environment = {**os.environ, "LUNGLINE_VENV": str(tmp_path / ".venv")}
    with subprocess.Popen(
        [sys.executable, str(SCRIPT)], env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        assert running.stdout
        assert running.stdout.readline() == "started\n"
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(timeout=30) == 5
