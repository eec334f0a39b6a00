"""Two processes that train one U-Net together learn what one process learns."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lungline.device import make_repeatable
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.stages.train_unet import run
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.storage.scan_rows import ScanRow, write_manifest
from lungline.storage.weights import read_tensors
from lungline.training.distributed import SINGLE, ProcessGroup
from lungline.training.unet_task import SliceCrops
from saved_config import save_config

DETECTOR = {
    "network": {"slices": 3, "base_channels": 4, "levels": 2, "dropout": 0.0, "norm": "group"},
    "loss": {"positive": 20, "negative": 0.5},
    "sampling": {"crop": 32, "positive_share": 0.5},
    "training": {"steps": 12, "batch": 5, "learning_rate": 0.003, "validate_every": 4},
}
FILES = ("weights.safetensors", "learning_curve.csv", "card.json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Caches and masks of two scans with a bright ball each, and their manifest."""
    folder = tmp_path_factory.mktemp("group")
    rng = np.random.default_rng(3)
    grid = np.indices((40, 44, 48))
    for scan, centre in (("a", (20, 18, 30)), ("b", (12, 30, 14))):
        ball = sum((axis - at) ** 2 for axis, at in zip(grid, centre, strict=True)) < 5**2
        ct = np.where(ball, 0, rng.normal(-850, 40, ball.shape)).astype(np.int16)
        affine = geometry.make_affine((1, 1, 1))
        header = Header("masked_ct_hu", "cache_volume", parameters={"region": "lung_box", "outside_hu": -1000})
        hdf5.write_file(folder / f"caches/{scan}.h5", header, {"ct": Field(ct, "zyx", "HU", "", affine)})
        mask = {"nodules": Field(ball, "zyx", "1", "", affine)}
        hdf5.write_file(folder / f"masks/{scan}.h5", Header("nodule_mask", "rasterise_nodules"), mask)
    dropout = {**DETECTOR, "network": {**DETECTOR["network"], "dropout": 0.3}}
    save_config(folder, detectors={"plain": DETECTOR, "dropout": dropout})
    splits = (("a", "train"), ("b", "valid"))
    write_manifest(folder / "manifest.csv", [ScanRow(scan, "mhd", "luna16", split, 0, None) for scan, split in splits])
    return folder


def train(place: Path, name: str, detector: str = "plain") -> Path:
    """The stage in this process."""
    given = {"axis": "y", "config": place / "config.json", "detector": detector, "device": "cpu"}
    paths = {"manifest": place / "manifest.csv", "caches": place / "caches", "masks": place / "masks"}
    run(place / name, checkpoints=place / f"{name}-checkpoints", **given, **paths)
    return place / name


def member(rank: int, port: int, place: Path, name: str, detector: str, dies_at: int | None) -> None:
    """One of two, as the launcher would start it; the second one may be killed on its way."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    read = SliceCrops.batch

    def batch(self: SliceCrops, step: int, size: int, part: range | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        if step == dies_at and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, step, size, part)

    SliceCrops.batch = batch  # type: ignore[method-assign]
    with open(place / f"{name}-{rank}.log", "a", encoding="utf-8", buffering=1) as sys.stdout:
        train(place, name, detector)


def train_by_two(place: Path, name: str, detector: str = "plain", dies_at: int | None = None) -> list[int | None]:
    """Exit flags of two processes that train together."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = multiprocessing.get_context("fork")
    both = [fork.Process(target=member, args=(rank, port, place, name, detector, dies_at)) for rank in (0, 1)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    return [process.exitcode for process in both]


def curve(folder: Path) -> np.ndarray:
    return np.genfromtxt(folder / "learning_curve.csv", delimiter=",", names=True)


def content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in FILES]


@pytest.fixture(scope="module")
def two(place: Path) -> Path:
    assert train_by_two(place, "two") == [0, 0]
    return place / "two"


@pytest.fixture(scope="module")
def one(place: Path) -> Path:
    return train(place, "one")


def test_two_processes_give_the_learning_curve_of_one_with_the_same_effective_batch(one: Path, two: Path) -> None:
    """The parts of a batch of five are three and two; only the order of sums differs."""
    assert curve(one)["train_loss"][-1] < 0.8 * curve(one)["train_loss"][0]
    for name in curve(one).dtype.names:
        np.testing.assert_allclose(curve(two)[name], curve(one)[name], rtol=1e-4, atol=1e-6)
    weights, same = (read_tensors(folder / "weights.safetensors")[0] for folder in (one, two))
    for name, value in weights.items():
        torch.testing.assert_close(same[name], value, rtol=1e-3, atol=1e-4)


def test_the_main_process_alone_writes_and_prints(place: Path, two: Path) -> None:
    assert "12 steps on cpu, 2 processes" in (place / "two-0.log").read_text(encoding="utf-8")
    assert (place / "two-1.log").read_text(encoding="utf-8") == ""


def test_when_one_of_two_is_killed_the_same_command_ends_with_the_same_bytes(place: Path, one: Path, two: Path) -> None:
    killed, other = train_by_two(place, "cut", dies_at=9)[::-1]
    assert killed == -signal.SIGKILL
    assert other != 0
    assert not (place / "cut" / "card.json").exists()
    shutil.copytree(place / "cut-checkpoints", place / "alone-checkpoints")
    assert train_by_two(place, "cut") == [0, 0]
    assert "resumed at step 8 of 12" in (place / "cut-0.log").read_text(encoding="utf-8")
    assert content(place / "cut") == content(two)
    train(place, "alone")  # one process finds a checkpoint of two, and begins anew
    assert content(place / "alone") == content(one)


def test_with_dropout_the_parts_of_a_batch_lose_other_units_and_the_bytes_repeat(place: Path) -> None:
    for name in ("dropped", "again"):
        assert train_by_two(place, name, "dropout") == [0, 0]
    assert content(place / "dropped") == content(place / "again")


def test_more_processes_than_cases_of_a_batch_are_refused() -> None:
    assert [list(ProcessGroup(rank, 3).part(8)) for rank in range(3)] == [[0, 3, 6], [1, 4, 7], [2, 5]]
    with pytest.raises(LunglineError, match=r"training_processes should be at most training\.batch, 2\. Got 3"):
        ProcessGroup(0, 3).part(2)


def test_alone_nothing_is_added_up() -> None:
    model = nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    assert SINGLE.all_reduce(model, 0.1) == 0.1
    assert model.weight.grad is not None
    assert model.weight.grad.tolist() == [[1.0, 1.0]]


def test_processes_of_one_job_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        for cores, processes, threads in (("4", "2", 2), ("1", "2", 1), ("3", None, 3)):
            monkeypatch.setenv("OMP_NUM_THREADS", cores)
            monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
            if processes:
                monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
            make_repeatable(1)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_pytorchs_launcher_starts_them(place: Path, two: Path) -> None:
    """The words that the rule train_unet uses."""
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words += ["-m", "lungline.cli", "train-unet", str(place / "launched"), "--axis", "y"]
    words += ["--config", str(place / "config.json"), "--detector", "plain", "--manifest", str(place / "manifest.csv")]
    words += ["--device", "cpu"]
    words += ["--caches", str(place / "caches"), "--masks", str(place / "masks")]
    words += ["--checkpoints", str(place / "launched-checkpoints"), "--cost", str(place / "cost.json")]
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    answer = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert content(place / "launched") == content(two)
    used = json.loads((place / "cost.json").read_text())  # of both: importing PyTorch takes each a second and 150 MB
    assert used["cpu_s"] > 1.5
    assert 100 < used["peak_mb"] < 4000
