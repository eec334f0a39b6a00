"""`lungline run`: the words it gives to Snakemake, and what it says afterwards."""

import re
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from lungline.cli import main
from lungline.errors import LunglineError
from lungline.stages import run as command
from lungline.stages.run import CORES, ONLY_ASKS, run
from lungline.workflow.opening import ROOT

WORKFLOW = """
rule all:
    input: "a.txt", "b.txt"
rule make:
    output: "{name}.txt"
    message: "Making {wildcards.name}"
    shell: "test {wildcards.name} != FAILS && touch {output}"
"""


def leave_a_lock(folder: Path, of: str = "a.txt") -> Path:
    """What a run that makes a file leaves when it is killed."""
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text(f"{folder / of}\n{of}\n", encoding="utf-8")
    return lock


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """What is started and listed, without doing it, in an empty folder."""
    told = SimpleNamespace(words=None, listed=None, code=0)

    def start(words: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        told.words = words[3:]
        return subprocess.CompletedProcess(words, told.code)

    def listing(**options: object) -> None:
        told.listed = options

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command.subprocess, "run", start)
    monkeypatch.setattr(command.list_scans, "run", listing)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    return told


SNAKEFILE = ["--snakefile", str(ROOT / "Snakefile"), "--logger=lungline"]


@pytest.mark.parametrize(
    ("words", "given"),
    [
        ([], ["--cores", str(CORES)]),
        (["predictions"], ["--cores", str(CORES), "predictions"]),
        (["-n", "caches"], ["--cores", str(CORES), "-n", "caches"]),
        (["-j4"], ["-j4"]),
        (["--cores=2", "--", "caches"], ["--cores=2", "--", "caches"]),
        (["--jobname", "x"], ["--cores", str(CORES), "--jobname", "x"]),
        (["-j1", "--configfile", "config/real.yaml"], ["-j1", "--configfile", str(ROOT / "config" / "real.yaml")]),
        (["-j1", "--configfile", "mine.yaml", "-k"], ["-j1", "--configfile", "mine.yaml", "-k"]),
    ],
)
def test_words_go_to_snakemake_with_all_cores_and_the_presets_of_the_package(called, words, given) -> None:
    assert run(words) == 0
    assert called.words == [*SNAKEFILE, *given]


def test_a_preset_that_lies_here_is_the_one_that_is_meant(called, tmp_path: Path) -> None:
    (tmp_path / "real.yaml").touch()
    run(["-j1", "--configfile", "real.yaml"])
    assert called.words[-1] == "real.yaml"


def test_in_a_clone_the_snakefile_need_not_be_named(called, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    run(["-n"])
    assert called.words == ["--logger=lungline", "--cores", str(CORES), "-n"]


@pytest.mark.parametrize(
    ("words", "files", "over"),
    [
        ("", (), ()),
        ("--configfile a.yaml b.yaml -- caches", ("a.yaml", "b.yaml"), ()),
        ("-k --configfiles a.yaml --config x=1 y=2 -j 4", ("a.yaml",), ("x=1", "y=2")),
        ("caches -C outdir=results/x", (), ("outdir=results/x",)),
    ],
)
def test_folders_are_listed_first_with_the_same_configuration(called, words: str, files, over) -> None:
    run(words.split())
    assert called.listed == {"configfile": tuple(map(Path, files)), "config": over}


def test_folders_that_cannot_be_listed_end_the_run(called, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise LunglineError("no")

    monkeypatch.setattr(command.list_scans, "run", fail)
    assert main(["run"]) == 2
    assert called.words is None


def test_a_question_lists_no_folders_and_the_exit_code_is_that_of_snakemake(called) -> None:
    called.code = 3
    assert main(["run", "-n"]) == 3
    assert called.listed is None


def test_without_snakemake_one_line_names_the_extra(called, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert main(["run"]) == 2
    assert capsys.readouterr().err == (
        "lungline run: this needs snakemake, which is not installed. Call: pip install 'lungline[workflow]'\n"
    )


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
def test_a_question_is_known_by_its_words(words: list[str], is_question: bool) -> None:
    assert any(ONLY_ASKS.fullmatch(word) for word in words) is is_question


# ---- what is said ------------------------------------------------------------------------------------------


def run_workflow(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, *words: str) -> int:
    """`lungline run --cores 1` of a Snakefile of the test."""
    (folder / "Snakefile").write_text(text, encoding="utf-8")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(command, "ROOT", folder)
    monkeypatch.setattr(command.list_scans, "run", lambda **_: None)
    monkeypatch.setattr(command.signal, "signal", lambda *_: None)
    return run(["--cores", "1", *words])


def test_a_job_that_goes_well_is_one_line(tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "none")) == 0
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


def test_a_job_that_fails_is_told_in_full(tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW.replace("FAILS", "b")) == 1
    said = capfd.readouterr().err
    assert re.search(r"Error in rule make:\n    message: .*\n    jobid: \d+\n    output: b.txt\n    shell:\n", said)


def test_a_dry_run_is_told_in_full_on_standard_output(tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW, "-n") == 0
    said = capfd.readouterr().out
    assert re.search(r"Job \d: Making b\nReason: Missing output files: b.txt\n", said)
    assert not (tmp_path / "a.txt").exists()


def test_a_quiet_run_says_nothing_of_its_jobs(tmp_path: Path, monkeypatch, capfd) -> None:
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW, "--quiet") == 0
    assert not re.search("Making|done", capfd.readouterr().err)


def test_a_lock_that_was_left_is_one_sentence_with_the_command(tmp_path: Path, monkeypatch, capfd) -> None:
    lock = leave_a_lock(tmp_path)
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW, "--config", "a=b c") == 1
    *_, last = capfd.readouterr().err.splitlines()
    assert last == (
        "[run] This folder is locked: by a run, or by one that was killed. "
        "If no run is alive, on no machine: lungline run --unlock --cores 1 --config 'a=b c'"
    )
    assert lock.exists()
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW, "--unlock") == 0
    assert run_workflow(tmp_path, monkeypatch, WORKFLOW) == 0
    assert (tmp_path / "a.txt").exists()


def test_a_question_is_not_answered_with_a_lock(called, tmp_path: Path, capfd) -> None:
    leave_a_lock(tmp_path)
    called.code = 1
    assert run(["--lint"]) == 1
    assert "locked" not in capfd.readouterr().err
