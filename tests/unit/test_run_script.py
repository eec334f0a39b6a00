"""`./run` and the lock that a killed run leaves."""

import importlib.machinery
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "run"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, at work in an empty folder."""
    loader = importlib.machinery.SourceFileLoader("run_script", str(SCRIPT))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "HERE", tmp_path)
    monkeypatch.setattr(module, "LOCKS", tmp_path / ".snakemake" / "locks")
    return module


def leave_a_lock(folder: Path) -> Path:
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("results/demo/predictions.csv\n", encoding="utf-8")
    return lock


def pretend_a_run(run: ModuleType, folder: Path, *words: str, seconds: float = 60) -> subprocess.Popen[bytes]:
    """A process in the folder that looks like a run."""
    process = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})", *words], cwd=folder)
    run.until_seen(process)
    return process


def test_the_lock_of_a_dead_run_is_taken_away(run: ModuleType, tmp_path: Path, capsys) -> None:
    lock = leave_a_lock(tmp_path)
    run.take_stale_lock_away()
    assert not lock.exists()
    assert "its lock is taken away" in capsys.readouterr().err


def test_without_a_lock_nothing_is_said(run: ModuleType, capsys) -> None:
    run.take_stale_lock_away()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("below", [".", "results/demo"])
def test_the_lock_stays_while_a_run_is_alive(run: ModuleType, tmp_path: Path, below: str) -> None:
    lock = leave_a_lock(tmp_path)
    (tmp_path / below).mkdir(parents=True, exist_ok=True)
    process = pretend_a_run(run, tmp_path / below, "snakemake", "--cores")
    try:
        with pytest.raises(SystemExit, match=rf"process {process.pid} of user \d+ is at work, since \d"):
            run.take_stale_lock_away()
    finally:
        process.kill()
        process.wait()
    assert lock.exists()
    run.take_stale_lock_away()
    assert not lock.exists()


def test_a_refused_run_is_told_who_holds_the_folder(run: ModuleType, tmp_path: Path, capsys) -> None:
    """Snakemake looks at its lock after `./run` did, and says nothing of the other run."""
    run.say_who_holds_the_lock()
    process = pretend_a_run(run, tmp_path, "snakemake", "--cores")
    try:
        run.say_who_holds_the_lock()
        assert capsys.readouterr().err == ""  # without a lock a run failed by itself
        leave_a_lock(tmp_path)
        run.say_who_holds_the_lock()
    finally:
        process.kill()
        process.wait()
    said = capsys.readouterr().err
    assert f"Another run holds this folder: process {process.pid} of user" in said
    assert re.search(r"is at work, since \d{4}-\d\d-\d\d \d\d:\d\d", said)


def test_a_job_that_outlived_its_run_is_waited_for(run: ModuleType, tmp_path: Path, capsys) -> None:
    lock = leave_a_lock(tmp_path)
    process = pretend_a_run(run, tmp_path, "lungline", "resample", seconds=1)
    run.take_stale_lock_away()
    assert process.wait(timeout=1) == 0
    assert not lock.exists()
    assert "Waiting for 1 processes that a dead run left" in capsys.readouterr().err


def test_a_run_in_another_folder_does_not_count(run: ModuleType, tmp_path: Path, tmp_path_factory) -> None:
    lock = leave_a_lock(tmp_path)
    process = pretend_a_run(run, tmp_path_factory.mktemp("elsewhere"), "snakemake")
    try:
        run.take_stale_lock_away()
    finally:
        process.kill()
        process.wait()
    assert not lock.exists()


def test_on_a_network_file_system_nothing_is_proved(run: ModuleType, tmp_path: Path, monkeypatch) -> None:
    lock = leave_a_lock(tmp_path)
    monkeypatch.setattr(run, "kind_of_disk", lambda folder: "nfs4")
    with pytest.raises(SystemExit, match=r"file system \(nfs4\) that other machines may use.*snakemake --unlock"):
        run.take_stale_lock_away()
    assert lock.exists()


def test_the_kind_of_a_disk_is_that_of_the_innermost_mount(run: ModuleType) -> None:
    assert run.kind_of_disk(Path("/proc/self")) == "proc"
    assert run.kind_of_disk(Path("/")) != "proc"


@pytest.mark.parametrize(
    ("words", "is_one"),
    [
        ("/x/bin/python /x/bin/snakemake --cores 2", True),
        ("python -m snakemake -n", True),
        ("bash -c (lungline sheet luna16 a b)", True),
        ("python3 /y/lungline/run --cores 2", False),
        ("vim rules/snakemake.smk", False),
        ("/venv/bin/python -u -m lungline.cli train-unet results --axis z", True),  # one that torchrun started
    ],
)
def test_a_run_is_known_by_its_words(run: ModuleType, words: str, is_one: bool) -> None:
    assert bool(run.LOOKS_LIKE_A_RUN.search(words)) is is_one


WORKFLOW = """
rule all:
    input: "a.txt", "b.txt"
rule make:
    output: "{name}.txt"
    message: "Making {wildcards.name}"
    shell: "test {wildcards.name} != FAILS && touch {output}"
"""


def run_workflow(run: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    """`./run --cores 1` of a Snakefile, with the programs of this environment."""
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(
        run, "environment", lambda **_: {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    )
    code: int = run.workflow(["--cores", "1"])
    return code


def test_a_job_that_goes_well_is_one_line(run: ModuleType, tmp_path: Path, monkeypatch, capsys) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "none")) == 0
    said = capsys.readouterr().err.splitlines()
    jobs = [line for line in said if re.search("Making|done", line)]
    assert sorted(line.rpartition("Making ")[2] for line in jobs[:2]) == ["a", "b"]
    assert jobs[1].startswith("1 of 3 done; ")
    assert jobs[2:] == ["3 of 3 done."]
    assert not [line for line in said if re.search("Finished|Execute|Select|localrule|jobid", line)]
    assert [line for line in said if line.startswith("Complete log")]


def test_a_job_that_fails_is_told_word_for_word(run: ModuleType, tmp_path: Path, monkeypatch, capsys) -> None:
    assert run_workflow(run, tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "b")) == 1
    said = capsys.readouterr().err
    assert re.search(r"Error in rule make:\n    message: .*\n    jobid: \d+\n    output: b.txt\n    shell:\n", said)
