"""Two runs in one folder, and a run that was killed; python -m tests.conformance.faults does more of it."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from lungline.runner.locks import hold
from tests.repository import REPOSITORY
from workflow_copy import copy_workflow

pytestmark = pytest.mark.workflow
MICRO = ("--configfile", "config/micro.yaml", "--")
TABLE = "results/micro/cohort/ground_truth.csv"


@pytest.fixture
def place(tmp_path):
    """A copy of the workflow with `./run`, before its first run."""
    copy = copy_workflow(tmp_path / "place")
    shutil.copy(REPOSITORY / "run", copy.folder / "run")
    return copy


def test_a_second_run_in_one_folder_is_refused_with_who_and_when(place) -> None:
    held = hold(place.folder / "results" / "micro")
    answer = place.snakemake("--quiet", "host", *MICRO, TABLE)
    assert answer.returncode != 0
    assert "another run is at work here, of " in answer.stdout
    assert f"process {os.getpid()}, since " in answer.stdout
    assert not (place.folder / TABLE).exists()
    held.close()
    assert place.snakemake("--quiet", "host", *MICRO, TABLE).returncode == 0
    assert (place.folder / TABLE).is_file()


def test_after_a_kill_one_sentence_says_how_to_go_on(place) -> None:
    environment = {**os.environ, "LUNGLINE_VENV": sys.prefix, "PYTHONPATH": str(place.folder / "src")}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "run", *words]
        return subprocess.run(command, cwd=place.folder, env=environment, capture_output=True, text=True, check=False)

    began = subprocess.Popen(
        [sys.executable, "run", *MICRO, "caches"], cwd=place.folder, env=environment, start_new_session=True
    )
    locks = place.folder / ".snakemake" / "locks"
    while not (locks.is_dir() and any(locks.iterdir())):
        assert began.poll() is None
        time.sleep(0.05)
    os.killpg(began.pid, signal.SIGKILL)
    began.wait()
    assert any(locks.iterdir())

    refused = run(*MICRO, "caches")
    assert refused.returncode == 1
    *_, last = refused.stderr.splitlines()
    assert last.startswith("[run] This folder is locked")
    assert run(*shlex.split(last.rpartition("./run ")[2])).returncode == 0
    assert not locks.exists()
    again = run(*MICRO, TABLE)
    assert again.returncode == 0, again.stdout + again.stderr
    assert (place.folder / TABLE).is_file()
