"""The loop learns, resumes to the same weights, stops when the loss is no number, and writes a model folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lungline.config.networks import Schedule
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.names import Precision
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.weights import read_card, read_tensors
from lungline.training import loop
from lungline.training.checkpoints import Checkpoints
from lungline.training.loop import TrainingContext, fit, learning_rate_at, selected, train
from lungline.training.task import Evaluation, TrainingTask

CPU = torch.device("cpu")
SCHEDULE = Schedule(steps=30, batch=8, learning_rate=0.05, validate_every=10, decay="cosine")
Points = tuple[Tensor, Tensor]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.2), nn.Linear(4, 1))


@dataclass(frozen=True)
class SumTask(TrainingTask[Points]):
    """The sum of three numbers, to be learnt; `stop_at` is the step at which the training is interrupted."""

    stage: ClassVar[str] = "train_classifier"
    model: nn.Module = field(default_factory=small_network)
    stop_at: int | None = None
    parts: tuple[int, ...] = (8,)
    factor: float = 1.0
    network: int = 3
    folder: Path = Path()

    def batch(self, step: int) -> Points:
        if step == self.stop_at:
            raise KeyboardInterrupt
        x = torch.from_numpy(np.random.default_rng([7, step]).normal(size=(8, 3)).astype(np.float32))
        return x, x.sum(1, keepdim=True)

    def micro_batches(self, batch: Points) -> Sequence[tuple[float, Points]]:
        pairs = zip(batch[0].split(self.parts), batch[1].split(self.parts), strict=True)
        return [(len(x) / 8, (x, y)) for x, y in pairs]

    def loss(self, batch: Points) -> Tensor:
        return (self.model(batch[0]) - batch[1]).square().mean() * self.factor

    def evaluate(self) -> Evaluation:
        return {"valid_loss": float(self.loss(self.batch(10**6))), "valid_accuracy": 0.0}

    def card(self) -> Mapping[str, Any]:
        return {"purpose": "test", "network": self.network}

    def cases(self) -> Mapping[str, Mapping[str, Sequence[Path]]]:
        return {split: {split: [self.folder / f"{split}.h5"]} for split in ("train", "valid")}


@dataclass(frozen=True)
class ScriptedTask(SumTask):
    """A task whose validation losses are known before; it keeps the weights that each of them saw."""

    losses: tuple[float, ...] = (1.0, 3.0, 2.0)
    seen: list[dict[str, Tensor]] = field(default_factory=list)

    def evaluate(self) -> Evaluation:
        self.seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        return {"valid_loss": self.losses[len(self.seen) - 1]}


class WarnedTask(SumTask):
    """A task that finds fault with the trained network, and fits something to it."""

    def warnings(self, curve: Sequence[Evaluation]) -> Sequence[Flag]:
        return [Flag("M_OVERFIT", f"{len(curve)} validations")]

    def finish(self) -> Mapping[str, Any]:
        assert not self.model.training
        return {"calibration": {"scale": 2.0}}


def context(folder: Path, precision: Precision = "float32", seed: int = 1) -> TrainingContext:
    return TrainingContext(folder / "model", folder / "checkpoints", seed, CPU, precision)


def trained(
    folder: Path, task: SumTask | None = None, *, key: str = "k" * 16, precision: Precision = "float32"
) -> tuple[dict[str, Tensor], list[Evaluation]]:
    """Weights and learning curve."""
    task = task or SumTask()
    curve = train(
        task, SCHEDULE, context(folder, precision), Checkpoints(folder / "checkpoints", "train_classifier", key)
    )
    return task.model.state_dict(), curve


def interrupted(folder: Path, step: int = 17) -> list[Path]:
    """The checkpoints of a training that was interrupted."""
    with pytest.raises(KeyboardInterrupt):
        trained(folder, SumTask(stop_at=step))
    return list((folder / "checkpoints").glob("*.safetensors"))


def test_a_resumed_training_ends_with_the_same_weights(tmp_path, capsys):
    weights, curve = trained(tmp_path / "whole")
    interrupted(tmp_path / "cut")
    capsys.readouterr()
    again, same_curve = trained(tmp_path / "cut")
    assert capsys.readouterr().out.startswith("resumed at step 10 of 30\n")
    assert same_curve == curve
    assert [list(row) for row in same_curve] == [list(row) for row in curve]  # the columns of the table
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_a_checkpoint_of_something_else_or_a_damaged_one_is_never_resumed(tmp_path, capsys):
    interrupted(tmp_path)
    trained(tmp_path, key="k" * 15 + "other")
    assert "resumed" not in capsys.readouterr().out
    (checkpoint,) = interrupted(tmp_path / "damaged")
    checkpoint.write_bytes(b"damaged")
    trained(tmp_path / "damaged")
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("checkpoint", "losses", "expected"),
    [("best", (1.0, 3.0, 2.0), 10), ("best", (3.0, 1.0, 2.0), 20), ("last", (1.0, 3.0, 2.0), 30)],
)
def test_the_weights_of_the_best_or_of_the_last_validation_are_kept(tmp_path, checkpoint, losses, expected):
    task, schedule = ScriptedTask(losses=losses), SCHEDULE.model_copy(update={"checkpoint": checkpoint})
    curve = train(task, schedule, context(tmp_path), Checkpoints(tmp_path, "train_classifier", "k"))
    assert selected(curve, schedule)["step"] == expected
    for name, value in task.model.state_dict().items():
        assert torch.equal(value, task.seen[expected // 10 - 1][name])


def test_a_loss_that_is_no_number_stops_the_training_by_name(tmp_path):
    with pytest.raises(LunglineError, match="M_NOT_FINITE: the loss is nan at step 0"):
        trained(tmp_path, SumTask(factor=float("nan")))
    with pytest.raises(LunglineError, match="M_NOT_FINITE: the validation loss is inf at step 9"):
        trained(tmp_path, ScriptedTask(losses=(float("inf"),)))


def test_the_learning_rate_falls_along_a_cosine():
    rates = [learning_rate_at(SCHEDULE, step) for step in range(30)]
    assert max(rates) == pytest.approx(0.05, rel=0.01)
    assert rates[-1] < 0.001
    assert learning_rate_at(Schedule(steps=5, batch=1, learning_rate=0.1), 4) == 0.1


def test_micro_batches_add_up_to_the_batch(tmp_path):
    """Without dropout, parts of 3, 3 and 2 of 8 give the curve and the weights of the whole batch."""
    results = []
    for parts in ((8,), (3, 3, 2)):
        task = SumTask(parts=parts)
        task.model[1].p = 0.0
        results.append(trained(tmp_path / str(len(parts)), task))
    (weights, curve), (other_weights, other_curve) = results
    assert [row["train_loss"] for row in curve] == pytest.approx([row["train_loss"] for row in other_curve])
    for name, value in weights.items():
        torch.testing.assert_close(value, other_weights[name], rtol=1e-3, atol=1e-5)


def test_bfloat16_trains_to_other_weights_that_answer_nearly_the_same(tmp_path):
    (exact, curve), (quick, quick_curve) = (
        trained(tmp_path / precision, precision=precision) for precision in ("float32", "bfloat16")
    )
    assert not torch.equal(exact["0.weight"], quick["0.weight"])
    assert quick_curve[-1]["valid_loss"] == pytest.approx(curve[-1]["valid_loss"], rel=0.05)
    assert quick["0.weight"].dtype == torch.float32


def write_scan(path: Path, value: int) -> None:
    voxels = Field(np.full((2, 3, 4), value, np.int16), "zyx", "HU", "", geometry.make_affine((1, 1, 1)))
    hdf5.write_file(path, Header("ct_hu", "test", provenance={"hu_sha256": f"hu {value}"}), {"ct": voxels})


@pytest.fixture
def killed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of a training that ended after its first validation."""
    for split in ("train", "valid"):
        write_scan(tmp_path / f"{split}.h5", 0)
    with pytest.raises(KeyboardInterrupt):
        fit(SumTask(folder=tmp_path, stop_at=17), SCHEDULE, context(tmp_path))
    assert len(list((tmp_path / "checkpoints").glob("*.safetensors"))) == 1
    capsys.readouterr()
    return tmp_path


def test_the_same_training_goes_on_and_takes_its_checkpoint_away(killed, capsys):
    fit(SumTask(folder=killed), SCHEDULE, context(killed))
    assert "resumed at step 10 of 30" in capsys.readouterr().out
    assert not list((killed / "checkpoints").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("task", "schedule", "context_change"),
    [
        ({}, {"learning_rate": 0.2}, {}),
        ({}, {}, {"seed": 2}),
        ({}, {}, {"precision": "bfloat16"}),
        ({"network": 4}, {}, {}),
    ],
    ids=["schedule", "seed", "precision", "network"],
)
def test_a_checkpoint_of_another_configuration_is_not_resumed(killed, capsys, task, schedule, context_change):
    fit(SumTask(folder=killed, **task), SCHEDULE.model_copy(update=schedule), context(killed, **context_change))
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize("split", ["train", "valid"])
def test_a_checkpoint_of_other_scans_is_not_resumed(killed, capsys, split):
    write_scan(killed / f"{split}.h5", 1)
    fit(SumTask(folder=killed), SCHEDULE, context(killed))
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize("place", ["code", "threads"])
def test_a_checkpoint_of_other_code_or_another_number_of_threads_is_not_resumed(killed, capsys, monkeypatch, place):
    if place == "code":
        monkeypatch.setattr(loop, "code_fingerprint", lambda stage: "another")
    else:
        monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    fit(SumTask(folder=killed), SCHEDULE, context(killed))
    assert "resumed" not in capsys.readouterr().out


def test_a_model_folder_holds_weights_curve_and_a_card_that_names_scans_and_faults(tmp_path, capsys):
    for number, split in enumerate(("train", "valid")):
        write_scan(tmp_path / f"{split}.h5", number)
    task = WarnedTask(folder=tmp_path)
    fit(task, SCHEDULE, context(tmp_path))
    card = read_card(tmp_path / "model" / "card.json")
    assert (card["purpose"], card["calibration"], card["parameters"]) == ("test", {"scale": 2.0}, 21)
    assert card["cases"] == {"train": ["train"], "valid": ["valid"]}
    assert card["case_hu_sha256"] == {"train": {"train": "hu 0"}, "valid": {"valid": "hu 1"}}
    assert card["warnings"] == [["M_OVERFIT", "3 validations"]]
    assert "M_OVERFIT: 3 validations\n" in capsys.readouterr().out
    tensors, _ = read_tensors(tmp_path / "model" / "weights.safetensors")
    assert all(torch.equal(value, tensors[name]) for name, value in task.model.state_dict().items())
    assert len((tmp_path / "model" / "learning_curve.csv").read_text(encoding="utf-8").splitlines()) == 4
