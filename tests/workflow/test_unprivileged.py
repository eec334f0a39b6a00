"""As a user without rights: no HOME, a clone and scans that belong to somebody else, some of them closed."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from phantoms import make_chest
from scans import write_mhd
from untrained import untrained_bundle

pytestmark = pytest.mark.workflow
REPOSITORY = Path(__file__).resolve().parents[2]
PARTS = ("Snakefile", "rules", "src", "config", "envs", "profiles", "report", "workflow", "tests", "pyproject.toml")
#: In a namespace of users where one is nobody special: root's right to pass over permissions is gone.
PLAIN_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Iterator[Path]:
    """A copy of the repository in which nothing can be written."""
    clone = tmp_path_factory.mktemp("clone") / "lungline"
    for name in PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            clone.mkdir(exist_ok=True)
            shutil.copy(source, clone / name)
    everything = [clone, *clone.rglob("*")]
    for path in everything:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield clone
    for path in everything:
        path.chmod(0o755)


@pytest.fixture(scope="module")
def unprivileged(clone, tmp_path_factory):
    """Run a command as a plain user, in a folder of its own, without HOME."""
    own = tmp_path_factory.mktemp("own")
    python = sys.executable

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(clone / "src")}
        environment["XDG_CACHE_HOME"] = str(own / "cache")  # Snakemake makes one, in the home of the user's name
        command = [*PLAIN_USER, python, "-m", *words]
        return subprocess.run(command, cwd=own, env=environment, text=True, capture_output=True, check=False)

    if shutil.which("unshare") is None or subprocess.run([*PLAIN_USER, "true"], check=False).returncode:
        pytest.skip("needs unshare (util-linux) and namespaces of users")
    run.own = own
    return run


@pytest.fixture(scope="module")
def answered(unprivileged, tmp_path_factory):
    """What `predict` says of three scans: one that is open, a closed folder, a folder with a closed file."""
    scans, models = tmp_path_factory.mktemp("scans"), tmp_path_factory.mktemp("models")
    ct = make_chest(spacing_mm=2.0).ct
    write_mhd(scans / "open.mhd", np.rint(ct.array).astype(np.int16))
    for name, mode in (("closed", 0o000), ("half", 0o755)):
        (scans / name).mkdir()
        (scans / name / "I1").write_bytes(bytes(128) + b"DICM")
        (scans / name / "I1").chmod(0o000)
        (scans / name).chmod(mode)
    bundle = untrained_bundle(models)
    done = unprivileged("lungline.cli", "predict", str(scans), "--bundle", str(bundle), "--out", "answers")
    with open(unprivileged.own / "answers/predictions.csv", newline="", encoding="utf-8") as handle:
        return done, sorted((row["status"], row["flags"]) for row in csv.DictReader(handle))


def test_scans_are_answered_and_what_is_closed_costs_only_itself(answered) -> None:
    done, rows = answered
    assert done.returncode == 1, done.stderr  # 1: a scan has no answer
    assert rows[:2] == [("quarantined", "Q_UNREADABLE")] * 2
    assert [status for status, _ in rows[2:]] == ["warned"]  # a small chest


def test_scans_are_listed_for_the_workflow_and_none_may_be_written_beside_the_code(unprivileged, clone) -> None:
    scans = unprivileged.own / "mine"
    ct = make_chest(spacing_mm=2.0).ct
    scans.mkdir()
    write_mhd(scans / "one.mhd", np.rint(ct.array).astype(np.int16))
    (unprivileged.own / "config.yaml").write_text(f"outdir: listed\ndata: {{folder: {scans}}}\n", encoding="utf-8")
    done = unprivileged("lungline.cli", "list-scans", "--configfile", "config.yaml")
    assert done.returncode == 0, done.stderr
    assert len((unprivileged.own / "listed/manifest.csv").read_text(encoding="utf-8").splitlines()) == 2
    assert (unprivileged.own / "listed/private").stat().st_mode & 0o777 == 0o700
    done = unprivileged("lungline.cli", "manifest", "folder", str(scans), str(clone / "out"))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr


def test_pytest_runs_in_a_clone_that_cannot_be_written(unprivileged, clone) -> None:
    done = unprivileged("pytest", str(clone / "tests/unit/test_escape.py"), "-c", str(clone / "pyproject.toml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed" in done.stdout or "100%" in done.stdout


def test_the_workflow_is_planned_from_a_clone_that_cannot_be_written(clone, unprivileged) -> None:
    words = ["snakemake", "--cores", "1", "--dry-run", "--quiet", "rules", "-s", str(clone / "Snakefile")]
    done = unprivileged(*words, "--configfile", str(clone / "config/micro.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train_classifier" in done.stdout + done.stderr
