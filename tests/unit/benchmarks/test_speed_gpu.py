"""The benchmark of a GPU, told that the CPU is one: tests need none, and a program that never runs is wrong one day."""

import pytest
import torch

from benchmarks.speed import gpu


@pytest.fixture
def pretended(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "GPU", gpu.CPU)
    monkeypatch.setattr(gpu, "TRAINED", ("demo",))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch, "compile", lambda model, **_: model)
    return gpu.SimulatedAdult(tmp_path, 1).at_size(0.3)


def test_every_part_gives_its_lines(pretended):
    lines = [*gpu.resampling(pretended, 1), *gpu.search(pretended, 1), *gpu.training(pretended, 2)]
    assert [line.way[:3] for line in lines] == ["CPU", *["GPU"] * 4, "CPU", *["GPU"] * 3]
    assert all(line.seconds > 0 for line in lines)
    assert float(lines[1].noticed.split()[2]) < 0.01  # HU
    assert all(float(line.noticed.split()[3].rstrip(",")) > 0.9 for line in lines[3:6])
    assert lines[-1].noticed.startswith("waited for batches")
    assert gpu.table(lines).count("\n") == len(lines) + 2


def test_without_a_gpu_it_says_so_and_measures_nothing(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gpu"])
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 0
    assert capsys.readouterr().out == "GPU: not run. PyTorch sees none.\n"
