"""A kill at any moment leaves a checkpoint to go on from, and a damaged one is passed over."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from lungline.training.checkpoints import Checkpoints, TrainingState


def network():
    torch.manual_seed(0)
    model = nn.Linear(2, 1)
    return model, torch.optim.Adam(model.parameters())


def save(checkpoints, model, optimiser, step):
    """One more step, and its checkpoint."""
    optimiser.zero_grad()
    model(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    best = {name: value.clone() for name, value in model.state_dict().items()}
    state = TrainingState(step, [{"step": step, "train_loss": 0.5, "valid_loss": 0.1}], best)
    checkpoints.save(state, model, optimiser)


def test_weights_moments_curve_and_best_weights_come_back(tmp_path):
    checkpoints, (model, optimiser) = Checkpoints(tmp_path, "train_unet", "key"), network()
    save(checkpoints, model, optimiser, 3)
    other, other_optimiser = network()
    state = checkpoints.resume(other, other_optimiser)
    assert (state.step, list(state.curve[0])) == (3, ["step", "train_loss", "valid_loss"])
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(state.best["weight"], model.weight)
    for moments, same in zip(optimiser.state.values(), other_optimiser.state.values(), strict=True):
        assert all(torch.equal(moments[name], same[name]) for name in ("step", "exp_avg", "exp_avg_sq"))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    checkpoints, (model, optimiser) = Checkpoints(tmp_path, "train_unet", "key"), network()
    save(checkpoints, model, optimiser, 10)
    real = os.replace

    def killed_before_the_file_has_its_name(source, target):
        if Path(target).name == "train_unet-key-step20.safetensors":  # its checksum has been written
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed_before_the_file_has_its_name)
    with pytest.raises(KeyboardInterrupt):
        save(checkpoints, model, optimiser, 20)
    monkeypatch.undo()
    assert checkpoints.resume(*network()).step == 10
    save(checkpoints, model, optimiser, 30)
    assert [path.name for path in checkpoints.saved()] == ["train_unet-key-step30.safetensors"]


def test_a_damaged_checkpoint_and_one_of_another_training_are_passed_over(tmp_path):
    checkpoints, (model, optimiser) = Checkpoints(tmp_path, "train_unet", "k" * 16 + "one"), network()
    save(checkpoints, model, optimiser, 10)
    assert Checkpoints(tmp_path, "train_unet", "k" * 16 + "other").resume(*network()).step == 0
    (path,) = checkpoints.saved()
    content = bytearray(path.read_bytes())
    content[-1] ^= 4
    path.write_bytes(content)
    assert checkpoints.resume(*network()).step == 0


def test_when_the_training_is_done_its_checkpoints_are_removed(tmp_path):
    checkpoints, (model, optimiser) = Checkpoints(tmp_path, "train_unet", "key"), network()
    save(checkpoints, model, optimiser, 10)
    checkpoints.remove()
    assert list(tmp_path.iterdir()) == []
