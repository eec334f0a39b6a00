"""The loop learns, resumes to the same weights, and stops when the loss is no number."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lungline.config.networks import Schedule
from lungline.errors import LunglineError
from lungline.training.loop import chosen, fit, learning_rate_at, saved

SCHEDULE = Schedule(steps=30, batch=8, learning_rate=0.05, validate_every=10, decay="cosine")


def problem(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))

    def make_batch(step):
        x = torch.from_numpy(np.random.default_rng([7, step]).normal(size=(8, 3)).astype(np.float32))
        return x, x.sum(1, keepdim=True)

    def loss_of(network, batch):
        return (network(batch[0]) - batch[1]).square().mean()

    def validate(network):
        return {"valid_loss": float(loss_of(network, make_batch(10**6))), "valid_accuracy": 0.0}

    return model, {"make_batch": make_batch, "loss_of": loss_of, "validate": validate}


def train(path, *, stop_after=None, key="k", loss_of=None):
    model, parts = problem()
    if stop_after is not None:
        whole = parts["make_batch"]

        def make_batch(step):
            if step == stop_after:
                raise KeyboardInterrupt
            return whole(step)

        parts["make_batch"] = make_batch
    parts["loss_of"] = loss_of or parts["loss_of"]
    said = []
    curve = fit(model, SCHEDULE, **parts, checkpoint=path, key=key, seed=1, device=torch.device("cpu"), say=said.append)
    return model.state_dict(), curve, said


def test_a_resumed_training_ends_with_the_same_weights(tmp_path):
    weights, curve, _ = train(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut.safetensors", stop_after=17)
    again, same_curve, said = train(tmp_path / "cut.safetensors")
    assert said[0] == "resumed at step 10 of 30"
    assert same_curve == curve
    assert [list(look) for look in same_curve] == [list(look) for look in curve]  # the columns of the table
    for name, value in weights.items():
        assert torch.equal(value, again[name])


@pytest.mark.parametrize(("keep", "expected"), [("best", 10), ("last", 30)])
def test_the_weights_of_the_best_or_of_the_last_look_are_kept(tmp_path, keep, expected):
    model, parts = problem()
    seen, losses = [], iter([1.0, 3.0, 2.0])

    def validate(network):
        seen.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"valid_loss": next(losses)}

    parts["validate"] = validate
    schedule = SCHEDULE.model_copy(update={"keep": keep})
    curve = fit(model, schedule, **parts, checkpoint=tmp_path / "c", key="k", seed=1, device=torch.device("cpu"))
    look = chosen(curve, schedule)
    assert look["step"] == expected
    for name, value in model.state_dict().items():
        assert torch.equal(value, seen[expected // 10 - 1][name])


def test_a_checkpoint_of_something_else_or_a_damaged_one_is_never_resumed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "c.safetensors", stop_after=17)
    _, _, said = train(tmp_path / "c.safetensors", key="another")
    assert not said[0].startswith("resumed")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "d.safetensors", stop_after=17)
    (checkpoint,) = tmp_path.glob("d-step*.safetensors")
    checkpoint.write_bytes(b"damaged")
    _, _, said = train(tmp_path / "d.safetensors")
    assert not said[0].startswith("resumed")


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(tmp_path, monkeypatch):
    weights, curve, _ = train(tmp_path / "whole.safetensors")
    real = os.replace

    def killed_before_the_file_has_its_name(source, target):
        if Path(target).name == "c-step20.safetensors":  # its seal has been written
            raise KeyboardInterrupt
        real(source, target)

    monkeypatch.setattr(os, "replace", killed_before_the_file_has_its_name)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "c.safetensors")
    monkeypatch.undo()
    again, same_curve, said = train(tmp_path / "c.safetensors")
    assert said[0] == "resumed at step 10 of 30"
    assert same_curve == curve
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
    assert [path.name for path in saved(tmp_path / "c.safetensors")] == ["c-step30.safetensors"]


def test_the_weights_of_the_best_look_are_kept(tmp_path):
    model, parts = problem()
    looks = iter([3.0, 1.0, 2.0])
    kept = []

    def validate(network):
        kept.append({name: value.clone() for name, value in network.state_dict().items()})
        return {"valid_loss": next(looks)}

    parts["validate"] = validate
    fit(model, SCHEDULE, **parts, checkpoint=tmp_path / "c", key="k", seed=1, device=torch.device("cpu"), say=len)
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[1][name])


def test_a_loss_that_is_no_number_stops_the_training_by_name(tmp_path):
    with pytest.raises(LunglineError, match="loss is nan at step 0"):
        train(tmp_path / "c", loss_of=lambda network, batch: network(batch[0]).sum() * float("nan"))


def test_the_learning_rate_falls_along_a_cosine():
    rates = [learning_rate_at(SCHEDULE, step) for step in range(30)]
    assert max(rates) == pytest.approx(0.05, rel=0.01)
    assert rates[-1] < 0.001
    assert learning_rate_at(Schedule(steps=5, batch=1, learning_rate=0.1), 4) == 0.1


def test_micro_batches_add_up_to_the_batch(tmp_path):
    """Without dropout, parts of 3, 3 and 2 of 8 give the curve and the weights of the whole batch."""
    trained = []
    for split in (
        lambda batch: [(1.0, batch)],
        lambda batch: [(n / 8, tuple(part[i : i + n] for part in batch)) for i, n in ((0, 3), (3, 3), (6, 2))],
    ):
        model, parts = problem()
        model[1].p = 0.0
        common = {"checkpoint": tmp_path / "c", "key": str(len(trained)), "seed": 1, "device": torch.device("cpu")}
        curve = fit(model, SCHEDULE, **parts, **common, split=split, say=len)
        trained.append((curve, model.state_dict()))
    (curve, weights), (other_curve, other_weights) = trained
    assert [look["train_loss"] for look in curve] == pytest.approx([look["train_loss"] for look in other_curve])
    for name, value in weights.items():
        torch.testing.assert_close(value, other_weights[name], rtol=1e-3, atol=1e-5)


def test_a_validation_loss_that_is_no_number_stops_the_training_by_name(tmp_path):
    model, parts = problem()
    parts["validate"] = lambda network: {"valid_loss": float("inf")}
    with pytest.raises(LunglineError, match="M_NOT_FINITE: the validation loss is inf at step 9"):
        fit(model, SCHEDULE, **parts, checkpoint=tmp_path / "c", key="k", seed=1, device=torch.device("cpu"))


def test_bfloat16_trains_to_other_weights_that_answer_nearly_the_same(tmp_path):
    trained = {}
    for precision in ("float32", "bfloat16"):
        model, parts = problem()
        common = {"checkpoint": tmp_path / precision, "key": "k", "seed": 1, "device": torch.device("cpu"), "say": len}
        curve = fit(model, SCHEDULE, **parts, **common, precision=precision)
        trained[precision] = (model.state_dict()["0.weight"], curve[-1]["valid_loss"])
    assert not torch.equal(trained["float32"][0], trained["bfloat16"][0])
    assert trained["bfloat16"][1] == pytest.approx(trained["float32"][1], rel=0.05)
    assert trained["bfloat16"][0].dtype == torch.float32
