"""Run tools on inputs, each tool behind a server of its own, several inputs at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungline.fingerprint import ROOT as PACKAGE
from tests.repository import REPOSITORY


@dataclass
class Reply:
    """What a tool did with one input.

    Attributes
    ----------
    outcome : "answered", "refused", "raised", "crashed" or "hung"
    words : str
        Its reason, or the flags of an answer.
    answers : list of (array [z, y, x], affine)
    seconds, peak_mib : float
        Wall time; memory touched by the process that read.
    """

    outcome: str
    words: str = ""
    answers: list[tuple[NDArray, NDArray[np.float64]]] = field(default_factory=list)
    seconds: float = 0.0
    peak_mib: float = 0.0


class Tool:
    """A server process for one tool in the interpreter that has it."""

    def __init__(self, name: str, python: Path, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        paths = os.pathsep.join([str(REPOSITORY), str(PACKAGE.parent)])
        environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [str(python), "-m", "tests.conformance.robustness.tool_server", name],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        self.ready = bool(self.process.stdout.readline())

    def read(self, path: Path, source: str) -> Reply:
        """Read one input in a process of its own."""
        assert self.process.stdin
        assert self.process.stdout
        scratch = Path(tempfile.mkdtemp(prefix="lungline-benchmark-"))
        try:
            request = {"path": str(path), "source": source, "scratch": str(scratch), "seconds": self.seconds}
            print(json.dumps(request), file=self.process.stdin, flush=True)
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"the server of {self.name} ended at {path}")
            told = json.loads(line)
            answers = [
                (np.load(scratch / f"{k}-array.npy"), np.load(scratch / f"{k}-affine.npy"))
                for k in range(told.get("answers", 0))
            ]
            codes = scratch / "codes.txt"
            words = told.get("words") or (codes.read_text(encoding="utf-8") if codes.is_file() else "")
            return Reply(told["outcome"], words, answers, told["seconds"], told["peak_mib"])
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


@contextmanager
def tools(names: list[str], peers: Path | None, seconds: float) -> Iterator[list[Tool]]:
    """The tools of `names` that can be started; those that are not installed are left out."""
    started = []
    try:
        for name in names:
            python = Path(sys.executable) if name == "lungline" or peers is None else peers
            tool = Tool(name, python, seconds)
            if tool.ready:
                started.append(tool)
            else:
                tool.close()
        yield started
    finally:
        for tool in started:
            tool.close()
