"""A killed training goes on from its checkpoint, and from no other one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lungline.config.networks import Schedule
from lungline.imaging import geometry
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training import fitting

SCHEDULE = Schedule(steps=6, batch=2, learning_rate=0.1, validate_every=2)


def write_scan(path: Path, value: int) -> None:
    field = Field(np.full((2, 3, 4), value, np.int16), "zyx", "HU", "", geometry.make_affine((1, 1, 1)))
    hdf5.write_file(path, Header("ct_hu", "test"), {"ct": field})


def train(folder: Path, *, stop_at: int | None = None, schedule: Schedule = SCHEDULE, **given) -> None:
    """A network of two numbers, trained on batches that its files have no part in."""
    torch.manual_seed(0)

    def make_batch(step: int) -> torch.Tensor:
        if step == stop_at:
            raise KeyboardInterrupt
        return torch.tensor([[float(step)]])

    settings = {"seed": 1, "device": torch.device("cpu"), "precision": "float32", "card": {"purpose": "test"}} | given
    fitting.fit_and_write(
        folder / "model",
        nn.Linear(1, 1),
        schedule,
        make_batch=make_batch,
        loss_of=lambda model, batch: model(batch).square().mean(),
        validate=lambda model: {"valid_loss": float(model(torch.ones(1, 1)).square())},
        checkpoints=folder / "checkpoints",
        stage="train_system",
        cases={split: {split: [folder / f"{split}.h5"]} for split in ("train", "valid")},
        **settings,
    )


@pytest.fixture
def killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a training that ended after its second look."""
    for split in ("train", "valid"):
        write_scan(tmp_path / f"{split}.h5", 0)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop_at=4)
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 1
    capsys.readouterr()
    return tmp_path


def test_the_same_training_goes_on_and_takes_its_checkpoint_away(killed, capsys) -> None:
    train(killed)
    assert "resumed at step 4 of 6" in capsys.readouterr().out
    assert not list((killed / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize(
    "change",
    [
        {"schedule": SCHEDULE.model_copy(update={"learning_rate": 0.2})},
        {"seed": 2},
        {"precision": "bfloat16"},
        {"card": {"purpose": "test", "network": {"channels": 2}}},
    ],
    ids=["schedule", "seed", "precision", "network"],
)
def test_a_checkpoint_of_another_configuration_is_not_resumed(killed, capsys, change) -> None:
    train(killed, **change)
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_checkpoint_of_other_scans_is_not_resumed(killed, capsys, split) -> None:
    write_scan(killed / f"{split}.h5", 1)
    train(killed)
    assert "resumed" not in capsys.readouterr().out


def test_a_checkpoint_of_other_code_is_not_resumed(killed, capsys, monkeypatch) -> None:
    monkeypatch.setattr(fitting, "code_fingerprint", lambda stage: "another")
    train(killed)
    assert "resumed" not in capsys.readouterr().out


def test_a_checkpoint_of_another_number_of_threads_is_not_resumed(killed, capsys, monkeypatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    train(killed)
    assert "resumed" not in capsys.readouterr().out


def test_a_damaged_checkpoint_is_not_resumed(killed, capsys) -> None:
    (checkpoint,) = (killed / "checkpoints").glob("*.safetensors")
    content = bytearray(checkpoint.read_bytes())
    content[-1] ^= 4
    checkpoint.write_bytes(content)
    train(killed)
    assert "resumed" not in capsys.readouterr().out
