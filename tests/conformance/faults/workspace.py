"""A copy of the workflow in a folder of its own, and the one command that runs it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from lungline.errors import LunglineError
from lungline.runner.audit import DIFFERENCES, verify_tree
from tests.workflow_copy import PARTS, copy_parts

#: The micro preset with the fewest scans with which every split has a case.
SETTINGS = {
    "outdir": "results/faults",
    "cohort": {"luna16_scans": 3, "dsb17_train": 5, "dsb17_test": 1, "anatomy_scale": 0.25},
    "detect": {"jobs": 2},
}
#: What the steps make, in their order; logs, times and figures differ from run to run and are left out.
STEPS = ("cohort", "ingest", "resample", "segment_lungs", "cache_volume", "rasterise_nodules", "train_unet", "detect")
STEPS += ("extract_candidates", "crop_patches", "train_classifier", "predict_cancer", "collect_predictions")
#: What still has to be made when a trial starts: everything, or from one step on.
FRONTS = ("cohort", "ingest", "cache_volume", "train_unet", "detect", "train_classifier")
ENDS = ("predictions.csv", "check_leakage.csv", "manifest.csv")
WORDS = ("--configfile", "config/micro.yaml", "faults.yaml", "--", "predictions")
PATIENCE_S = 3600
_TRIES = 60


@dataclass(frozen=True)
class Answer:
    """How a command ended."""

    code: int
    said: str
    seconds: float


@dataclass(frozen=True)
class Workspace:
    """A folder with a copy of the workflow, and where its temporary files go."""

    folder: Path
    temporary: Path | None = None

    @property
    def results(self) -> Path:
        return self.folder / SETTINGS["outdir"]

    @property
    def command(self) -> list[str]:
        """What starts a run, and what resumes it."""
        return [sys.executable, "run", *WORDS]

    def unlock(self) -> None:
        """What a person does who knows that no run is alive: take away the lock that a killed one left."""
        if any((self.folder / ".snakemake" / "locks").glob("*")):
            words = [sys.executable, "run", "--unlock", *WORDS]
            subprocess.run(words, cwd=self.folder, env=self.environment, check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        own = {
            "LUNGLINE_VENV": sys.prefix,
            "PYTHONPATH": str(self.folder / "src"),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
            "OMP_NUM_THREADS": "1",
        }
        return {**os.environ, **own, **({"TMPDIR": str(self.temporary)} if self.temporary else {})}

    def start(self, log: str = "run.log") -> subprocess.Popen[bytes]:
        """The command in a session of its own; its words go to a file."""
        with open(self.folder / log, "wb") as told:
            return subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdout=told,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, log: str = "run.log") -> Answer:
        """The command to its end; one that hangs is killed and says so."""
        began = time.monotonic()
        process = self.start(log)
        try:
            code = process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            kill(tree(process.pid))
            process.wait()
        said = (self.folder / log).read_text(encoding="utf-8", errors="replace")
        return Answer(code, said + ("\n(killed: it hung)" if code == -1 else ""), time.monotonic() - began)

    def digests(self) -> dict[str, str]:
        """SHA-256 of everything that must be the same after every way to the end, by name."""
        files = [path for step in STEPS for path in (self.results / step).rglob("*")]
        files += [self.results / name for name in ENDS]
        return {
            str(path.relative_to(self.results)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)
            if path.is_file() and path.suffix != ".tmp" and path.name != ".snakemake_timestamp"
        }

    def torn(self) -> list[str]:
        """Files that are not what their checksums say: there must be none, at any time."""
        try:
            found = verify_tree(self.results).findings
        except LunglineError:  # nothing that has a checksum is there yet
            return []
        return [f"{one.kind}: {one}" for one in found if one.kind in DIFFERENCES and one.kind != "missing"]

    def copy(self, folder: Path) -> Workspace:
        """The same, with all results, in another folder; what a killed trial's last processes left there goes first."""
        for _ in range(_TRIES):
            shutil.rmtree(folder, ignore_errors=True)
            if not folder.exists():
                break
            time.sleep(1)
        shutil.copytree(self.folder, folder, symlinks=True)
        return Workspace(folder)

    def forget_from(self, step: str) -> None:
        """Remove what a step and all later ones made, so that a run makes it again."""
        for name in STEPS[STEPS.index(step) :]:
            shutil.rmtree(self.results / name, ignore_errors=True)
        for name in ENDS if step == "cohort" else ENDS[:1]:
            (self.results / name).unlink(missing_ok=True)


def make(folder: Path) -> Workspace:
    """A place before its first run."""
    copy_parts(folder, ("run", *PARTS))
    (folder / "faults.yaml").write_text(yaml.safe_dump(SETTINGS), encoding="utf-8")
    return Workspace(folder)


def tree(pid: int) -> list[psutil.Process]:
    """A process and all its descendants that are alive now, oldest first."""
    try:
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue


def differences(expected: dict[str, str], found: dict[str, str]) -> Iterator[str]:
    """Names that are missing, too many, or of other content."""
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            kind = "missing" if name not in found else "too many" if name not in expected else "differs"
            yield f"{kind}: {name}"
