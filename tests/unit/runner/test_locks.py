"""One run at a time in a folder of results."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import lungline.runner.locks
from lungline.errors import LunglineError
from lungline.runner.locks import alone_in_out, hold, trouble_with

HOLD = "import sys, time, pathlib; from lungline.runner.locks import hold; x = hold(pathlib.Path(sys.argv[1]))"


def holder(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the folder."""
    command = [sys.executable, "-c", f"{HOLD}; print('held', flush=True); time.sleep(60)", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_is_refused_with_who_and_when(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with pytest.raises(
            LunglineError, match=rf"another run is at work here, of \S+ on \S+, process {process.pid}, si"
        ):
            hold(tmp_path)
    finally:
        process.kill()
        process.wait()


def test_a_run_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path / "results")
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    hold(tmp_path / "results").close()


def test_what_nobody_can_read_in_the_lock_does_not_hide_the_refusal(tmp_path: Path) -> None:
    first = hold(tmp_path)
    (tmp_path / ".run.lock").write_text("{", encoding="utf-8")
    with pytest.raises(LunglineError, match=r"another run is at work here\. Wait"):
        hold(tmp_path)
    first.close()


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LunglineError, match=r"file/results: a file stands there or on the way"):
        hold(tmp_path / "file" / "results")


def test_a_full_disk_and_a_folder_without_permission_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert trouble_with(tmp_path / "results" / "demo") is None
    monkeypatch.setattr(lungline.runner.locks.os, "access", lambda path, mode: False)
    assert "nothing can be written there" in str(trouble_with(tmp_path / "results"))
    monkeypatch.setattr(lungline.runner.locks, "LEAST_FREE_BYTES", 1 << 62)
    assert "no space left on device" in str(trouble_with(tmp_path / "results"))


def test_one_call_at_a_time_writes_into_its_folder_and_another_may_follow(tmp_path: Path) -> None:
    calls = []

    @alone_in_out
    def run(raw: str, *, out: Path = tmp_path / "default", deeper: bool = False) -> None:
        calls.append(raw)
        if deeper:
            run("inner", out=out)

    run("first")
    with pytest.raises(LunglineError, match=r"default: another run is at work here"):
        run("outer", deeper=True)
    run("last", out=tmp_path / "default")
    assert calls == ["first", "outer", "last"]
