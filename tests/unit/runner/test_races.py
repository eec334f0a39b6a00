"""Two commands with one OUT that start at once: one works, the other says so, and no scan is lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from lungline.privacy.pseudonyms import read_map
from lungline.runner import locks
from lungline.runner.commands import exit_code_of
from lungline.stages import list_scans, manifest, predict
from lungline.storage.scan_rows import read_manifest
from scans import chest, write_mhd

RACES = int(os.environ.get("LUNGLINE_RACES", "8"))
HU = chest((3, 6, 7))
Call = Callable[[], object]


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name in "ab":
        write_mhd(tmp_path / name / f"{name}.mhd", HU)
    return [tmp_path / "a", tmp_path / "b"]


def race(calls: list[Call], said: Path) -> list[int]:
    """Exit codes of calls that begin at one moment, each in a fork."""
    waiting, starting = os.pipe()
    children = []
    for call in calls:
        if not (child := os.fork()):
            os.close(starting)
            sys.stderr = open(said, "a", buffering=1)  # noqa: SIM115  ends with the fork
            os.read(waiting, 1)
            code = 3
            try:
                code = exit_code_of("race", call)
            finally:
                os._exit(code)
        children.append(child)
    os.close(waiting)
    os.close(starting)  # now
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def lost(calls: list[Call], out: Path, good: int = 0) -> int:
    """Whether a scan is missing after a race and after those that were refused are called once more."""
    said = out.with_suffix(".said")
    codes = race(calls, said)
    refused = [call for call, code in zip(calls, codes, strict=True) if code == 2]
    assert set(codes) <= {good, 2}
    assert len(refused) < len(calls)
    assert said.read_text().count("another run is at work here") == len(refused)
    for call in refused:
        call()
    rows = {row.scan for row in read_manifest(out / "manifest.csv")}
    return int(
        len(rows) != 2 or read_map(out / "private").keys() != rows or set(os.listdir(out / "private/raw")) != rows
    )


def test_of_two_manifests_none_loses_a_scan(folders: list[Path], tmp_path: Path) -> None:
    outs = [tmp_path / f"out{number}" for number in range(RACES)]
    assert sum(lost([partial(manifest.run, "folder", one, out) for one in folders], out) for out in outs) == 0


def test_of_two_lists_of_scans_none_loses_one(folders: list[Path], tmp_path: Path) -> None:
    found = 0
    for number in range(RACES):
        out, config = tmp_path / f"out{number}", tmp_path / f"{number}.yaml"
        config.write_text(f"data: {{folder: {tmp_path}}}\noutdir: {out}\n")
        call = partial(list_scans.run, configfile=(config,), default=tmp_path / "none")
        found += lost([call, call], out)
    assert found == 0


def test_of_two_predictions_none_loses_a_scan(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "_answer_all", lambda *words: ([], []))
    outs = [tmp_path / f"out{number}" for number in range(RACES)]
    calls = [[partial(predict.run, one, out=out, pages=False) for one in folders] for out in outs]
    assert sum(lost(some, out, good=1) for some, out in zip(calls, outs, strict=True)) == 0


def test_without_the_lock_scans_would_be_lost(
    folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What these tests can see: two that both read the list before either writes it."""
    monkeypatch.setattr(manifest, "hold", lambda out, name: nullcontext())
    waiting, going = os.pipe(), os.pipe()
    out = tmp_path / "out"

    def late() -> object:
        os.write(waiting[1], b"1")
        os.read(going[0], 1)
        return listed_before

    listed_before = manifest.listed_before(out)
    if not (child := os.fork()):
        monkeypatch.setattr(manifest, "listed_before", lambda out: late())
        try:
            manifest.run("folder", folders[0], out)
        finally:
            os._exit(0)
    os.read(waiting[0], 1)
    manifest.run("folder", folders[1], out)
    os.write(going[1], b"1")
    os.waitpid(child, 0)
    assert len(read_manifest(out / "manifest.csv")) == 1
    assert locks.LISTING == ".list.lock"
