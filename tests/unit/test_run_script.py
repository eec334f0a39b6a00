"""`./run`: the environment it makes, and `lungline run` in it."""

import hashlib
import importlib.machinery
import importlib.util
import os
import re
import signal
import subprocess
import sys
import zipfile
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


# ---- hashes and advisories ---------------------------------------------------------------------------------


def small_wheel(folder: Path) -> str:
    """A wheel that holds nothing; its SHA-256."""
    path, about = folder / "tiny-1.0-py3-none-any.whl", "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("changed", [False, True])
def test_a_package_with_another_hash_is_refused(run: ModuleType, tmp_path: Path, monkeypatch, changed: bool) -> None:
    digest = small_wheel(tmp_path)
    if changed:
        digest = digest[:-1] + ("1" if digest[-1] == "0" else "0")
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "locked.txt").write_text(f"tiny==1.0 \\\n    --hash=sha256:{digest}\n", encoding="utf-8")
    monkeypatch.setattr(run, "LOCKED", "1")
    monkeypatch.setattr(run, "BUILDERS", ("tiny",))
    command = run.installations(".")[0]
    own = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    environment = {**os.environ, **own, "PIP_TARGET": str(tmp_path / "target")}
    done = subprocess.run([sys.executable, *command[1:]], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == changed, done.stderr
    assert ("DO NOT MATCH THE HASHES" in done.stderr) == changed
    assert (tmp_path / "target" / "tiny-1.0.dist-info").exists() != changed


def test_locked_installs_ask_for_every_hash_but_those_of_pytorch_where_wanted(run: ModuleType, monkeypatch) -> None:
    monkeypatch.setattr(run, "HERE", SCRIPT.parent)
    written: dict[str, str] = {}
    monkeypatch.setattr(run.Path, "write_text", lambda path, text, **_: written.update({path.name: text}))
    monkeypatch.setattr(run.Path, "mkdir", lambda *_, **__: None)
    for mode, of_torch in (("1", True), ("but-torch", False)):
        monkeypatch.setattr(run, "LOCKED", mode)
        *locked, last = run.installations(".[test]")
        assert all("--require-hashes" in command for command in locked[:2])
        assert [command[-3:] for command in locked[2:]] == ([] if of_torch else [["torch", "-c", "constraints.txt"]])
        assert last[-1] == ".[test]"
        assert "--no-deps" in last
        names = set(run.locked_packages(written["locked.txt"]))
        assert ("torch" in names) == ("nvidia-cudnn-cu13" in names) == of_torch
        assert {"numpy", *run.BUILDERS} <= names


def test_an_unknown_word_for_locked_is_one_line(tmp_path: Path) -> None:
    environment = {**os.environ, "LUNGLINE_LOCKED": "yes"}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert done.stderr == "[run] LUNGLINE_LOCKED=yes: expected 1, but-torch or nothing.\n"


REPORTS = {
    "": ("Advisories: not run.", 2),
    '{"dependencies": [{"name": "a", "version": "1", "vulns": []}]}': ("Advisories: 0, of 1 packages; 0 could", 0),
    '{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1"}]}]}': ("Advisories: 1, of 1", 1),
    '{"dependencies": [{"name": "a", "skip_reason": "not found"}]}': ("Advisories: not run. None of 1 packages", 2),
    '{"dependencies": [{"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []}]}': (
        "Advisories: 0, of 1 packages; 1 could not be looked up",
        2,
    ),
}


@pytest.mark.parametrize("report", REPORTS)
def test_advisories_are_told_in_one_line_each(run: ModuleType, tmp_path: Path, capsys, report: str) -> None:
    program = tmp_path / ".lungline/pip-audit/bin/pip-audit"
    program.parent.mkdir(parents=True)
    write = f"printf '%s' '{report}' > \"$8\"" if report else "exit 1"
    program.write_text(f"#!/bin/sh\n{write}\n", encoding="utf-8")
    program.chmod(0o755)
    said, code = REPORTS[report]
    assert run.advisories() == code
    told = capsys.readouterr()
    assert said in told.err
    assert told.out == ("a 1: X-1\n" if code == 1 else "")


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
