"""A copy of the workflow and of the package in a folder of its own, where it can be run, changed and broken."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.repository import REPOSITORY
from tests.snakemake_server import run_snakemake

PARTS = ("Snakefile", "workflow", "rules", "config", "profiles", "envs", "report", "src")
#: Steps whose files must be the same after every way to the end.
MADE = ("ingest", "cache_volume", "rasterise_nodules", "train_unet", "detect", "crop_patches", "train_classifier")


@dataclass(frozen=True)
class Workflow:
    """A copy of the workflow and of the package, in a folder of its own."""

    folder: Path
    #: Start Snakemake anew for every call, as a person does; otherwise a process that has imported it forks.
    anew: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which this copy of the package is the one that runs."""
        return {
            **os.environ,
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(self.folder / "src"),
            "XDG_CACHE_HOME": str(self.folder / ".cache"),
        }

    def snakemake(self, *words: str, timeout_s: float | None = None) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with this copy of the package; its answer is stdout and stderr together."""
        words = ("--cores", "2", *words)
        if timeout_s is None and not self.anew:
            return run_snakemake(words, self.folder, self.environment)
        return subprocess.run(
            [sys.executable, "-m", "snakemake", *words],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=timeout_s,
        )

    def lungline(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command of this copy of the package."""
        command = [sys.executable, "-m", "lungline.cli", *words]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def plan(
        self,
        *presets: str,
        change: dict | None = None,
        targets: tuple[str, ...] = (),
        words: tuple[str, ...] = (),
        listed: bool = True,
    ) -> dict[str, int]:
        """Jobs a step that a run would do now; empty where nothing is to do.

        Parameters
        ----------
        presets : names of files in config/
        change : mapping, optional
            Configuration laid over the presets.
        words : strings, optional
            For Snakemake.
        listed : bool
            Whether the scans in the folders of the configuration are listed before, as `./run` does it.
        """
        if listed and change and change.get("data"):
            (self.folder / "change.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
            answer = self.list_scans(*(f"config/{name}.yaml" for name in presets), "change.yaml")
            if answer.returncode:
                raise AssertionError(answer.stderr)
        said = self._dry_run("--quiet", "host", "rules", *words, presets=presets, change=change, targets=targets)
        table = re.search(r"^Job stats:\n.*\n-.*\n((?:\w+ +\d+\n)+)", said, re.MULTILINE)
        if table is None:
            assert "Nothing to be done" in said, said
            return {}
        jobs = {name: int(count) for name, count in (line.split() for line in table[1].splitlines())}
        return {name: count for name, count in jobs.items() if name not in ("total", "all")}

    def list_scans(self, *configfiles: str) -> subprocess.CompletedProcess[str]:
        """List the scans in the folders that a configuration names, as `./run` does it before the workflow."""
        return self.lungline("list-scans", "--configfile", *configfiles)

    def planned_command(self, command: str, *presets: str, change: dict, targets: tuple[str, ...] = ()) -> str:
        """The first command line `lungline COMMAND ...` of a run that would be done now."""
        said = self._dry_run("--printshellcmds", presets=presets, change=change, targets=targets)
        return next(line for line in said.splitlines() if f": lungline {command} " in line)

    def _dry_run(
        self, *words: str, presets: tuple[str, ...], change: dict | None = None, targets: tuple[str, ...] = ()
    ) -> str:
        files = [f"config/{name}.yaml" for name in presets]
        if change is not None:
            (self.folder / "change.yaml").write_text(yaml.safe_dump(change), encoding="utf-8")
            files.append("change.yaml")
        configured = ["--configfile", *files] if files else []
        answer = self.snakemake("--dry-run", *words, *configured, "--", *targets)
        if answer.returncode:
            raise AssertionError(answer.stdout)
        return answer.stdout

    @contextmanager
    def edited(self, path: str, old: str, new: str) -> Iterator[None]:
        """One file with `old` replaced by `new`, put right again at the end."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        try:
            yield
        finally:
            file.write_text(text, encoding="utf-8")


def copy_workflow(folder: Path) -> Workflow:
    return Workflow(copy_parts(folder))


def copy_parts(folder: Path, parts: Sequence[str] = PARTS, checkout: Path = REPOSITORY) -> Path:
    """Copy files and folders of this repository into a folder, which is made where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        source = checkout / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copy(source, folder / part)
    return folder


def digests(folder) -> dict[str, str]:
    """SHA-256 of the predictions and of every intermediate file, by name."""
    files = [folder / "predictions.csv", *(path for part in MADE for path in sorted((folder / part).rglob("*.*")))]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
