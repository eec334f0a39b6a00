"""A training that is killed and resumed ends with the bytes of one that never was."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lungline.config.loading import read_config_files
from lungline.storage.saved_config import write_saved_config
from tests.conformance.faults.workspace import Workspace

STEPS = {"unet": 400, "classifier": 60}  # about two seconds: time to be killed in
LOOKS = 20


@dataclass(frozen=True)
class Training:
    """A command that trains, of a longer schedule than the micro preset's."""

    place: Workspace
    kind: str  # unet or classifier

    def command(self, folder: Path) -> list[str]:
        results = self.place.results
        words = [sys.executable, "-m", "lungline.cli", f"train-{self.kind}", str(folder / "model")]
        words += ["--config", str(self.longer(folder)), "--manifest", str(results / "manifest.csv")]
        words += ["--checkpoints", str(folder / "checkpoints")]
        if self.kind == "unet":
            words += ["--axis", "z", "--detector", "micro", "--caches", str(results / "cache_volume")]
            return [*words, "--masks", str(results / "rasterise_nodules")]
        return [*words, "--classifier", "m2-micro", "--inputs", str(results / "crop_patches" / "micro")]

    def longer(self, folder: Path) -> Path:
        """The micro preset with a longer schedule, as a run keeps its configuration."""
        steps = STEPS[self.kind]
        part, name = ("detectors", "micro") if self.kind == "unet" else ("classifiers", "m2-micro")
        over = {part: {name: {"training": {"steps": steps, "validate_every": steps // LOOKS}}}, "device": "cpu"}
        files = (self.place.folder / "config" / name for name in ("config.yaml", "micro.yaml"))
        path = folder / "config.json"
        if not path.is_file():
            write_saved_config(path, read_config_files(files, over))
        return path

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / "log", "ab") as told:
            return subprocess.Popen(
                self.command(folder), env=self.place.environment, stdout=told, stderr=subprocess.STDOUT
            )


def digest(folder: Path) -> str:
    """SHA-256 of the weights and of the learning curve; empty where there are none."""
    files = [folder / "model" / name for name in ("weights.safetensors", "learning_curve.csv")]
    if not all(path.is_file() for path in files):
        return ""
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def uninterrupted(training: Training, scratch: Path) -> tuple[str, float]:
    """Digest of a training that nobody disturbed, and its seconds."""
    began = time.monotonic()
    code = training.start(scratch).wait()
    if code:
        raise RuntimeError((scratch / "log").read_text(encoding="utf-8"))
    found = digest(scratch)
    shutil.rmtree(scratch)
    return found, time.monotonic() - began


def try_resume(training: Training, expected: str, seconds: float, scratch: Path, number: int, seed: int) -> dict:
    """One training, killed once or twice after its first validation, and resumed."""
    dice = random.Random(seed * 2_000_003 + number)
    kills = dice.choice((1, 2))
    try:
        for _ in range(kills):
            if not killed(training, scratch, dice.uniform(0, 0.3 * seconds)):  # quicker than the undisturbed one
                shutil.rmtree(scratch)
                killed(training, scratch, 0.0)
        code = training.start(scratch).wait()
        said = (scratch / "log").read_text(encoding="utf-8")
        resumed, equal = said.count("resumed at step"), digest(scratch) == expected
        return {
            "trial": number,
            "kind": training.kind,
            "kills": kills,
            "resumed": resumed,
            "passed": code == 0 and equal and resumed > 0,
            "said": "" if code == 0 and equal else said[-2000:],
        }
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def killed(training: Training, scratch: Path, after_s: float) -> bool:
    """Start the training, kill it so long after its first validation; whether there is something to resume from."""
    process = training.start(scratch)
    until_first_look(process, scratch)
    time.sleep(after_s)
    process.kill()
    process.wait()
    return has_checkpoint(scratch)


def has_checkpoint(folder: Path) -> bool:
    return any((folder / "checkpoints").rglob("*.safetensors"))


def until_first_look(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until there is something to resume from, or the training has ended."""
    while process.poll() is None and not has_checkpoint(folder):
        time.sleep(0.02)
