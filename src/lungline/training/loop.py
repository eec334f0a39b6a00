"""The training loop: plain functions, resumable, the same weights however often it is interrupted.

Every batch is a function of (seed, step), so a resumed run sees exactly what an uninterrupted one would.
The weights that are kept are those of one look at the validation split: the best, or the last.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lungline.config.networks import Schedule
from lungline.device import half_precision
from lungline.errors import CorruptFileError, LunglineError
from lungline.names import Precision
from lungline.progress import Progress
from lungline.storage.checksums import remove
from lungline.storage.weights import read_tensors, write_tensors
from lungline.training.batches import batches_ahead
from lungline.training.distributed import ALONE, Team

Batch = TypeVar("Batch")
Look = dict[str, float]


@dataclass
class Standing:
    """Where a training stands: next step, curve of looks, weights of the one that is chosen so far."""

    step: int = 0
    curve: list[Look] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)


def in_one_part(batch: Batch) -> list[tuple[float, Batch]]:
    """A step's batch, not divided."""
    return [(1.0, batch)]


def fit(
    model: nn.Module,
    schedule: Schedule,
    *,
    make_batch: Callable[[int], Batch],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    validate: Callable[[nn.Module], Look],
    checkpoint: Path,
    key: str,
    seed: int,
    device: torch.device,
    precision: Precision = "float32",
    split: Callable[[Batch], Sequence[tuple[float, Batch]]] = in_one_part,
    team: Team = ALONE,
    say: Callable[[str], None] = print,
) -> list[Look]:
    """Train `model` in place and leave the weights of the chosen look in it.

    Parameters
    ----------
    make_batch : callable
        The batch of a step number; runs ahead of the training, see `batches_ahead`.
    validate : callable
        Numbers of the validation split; the best look has the smallest "valid_loss".
    checkpoint, key : Path, str
        Where to go on from (the step is added to the name), and the hash of everything that makes this training
        what it is: a checkpoint with another key is never resumed.
    split : callable
        Divides a step's batch into parts that are computed one after the other, each with its share of the step;
        their gradients add up to the batch's.
    team : Team
        The processes that train together. `make_batch` gives the part of this one, `split` its share of the step.
        The first looks at the validation split and keeps the best weights; the others end with those of the last
        step and without a curve.

    Returns
    -------
    list of dict
        The learning curve: step, train_loss, and what `validate` gave, a look at a time.

    Raises
    ------
    LunglineError
        M_NOT_FINITE: if a loss is no longer a finite number.
    """
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    autocast, scaled = half_precision(device, precision)
    scaler = torch.amp.GradScaler(device.type, enabled=scaled)
    done = _resume(checkpoint, key, model, optimiser, device) or Standing()
    if done.step:
        say(f"resumed at step {done.step} of {schedule.steps}")
    losses: list[float] = []
    started, waited_s = time.perf_counter(), 0.0
    progress = Progress(schedule.steps, done=done.step)
    with batches_ahead(make_batch, range(done.step, schedule.steps), device) as coming:
        for step in range(done.step, schedule.steps):
            asked = time.perf_counter()
            batch = next(coming)
            waited_s += time.perf_counter() - asked
            for group in optimiser.param_groups:
                group["lr"] = learning_rate_at(schedule, step)
            # dropout too depends on the step alone, and on which part of the batch it is
            torch.manual_seed((seed * 1_000_003 + step) * team.size + team.rank)
            model.train()
            optimiser.zero_grad(set_to_none=True)
            losses.append(0.0)
            for share, part in split(batch):
                with autocast:
                    loss = loss_of(model, part) * share
                scaler.scale(loss).backward()
                losses[-1] += float(loss.detach())
            losses[-1] = team.add_up(model, losses[-1])
            scaler.step(optimiser)
            scaler.update()
            _refuse_not_finite("loss", losses[-1], step)
            if team.leads:
                progress.tell(step + 1, f"loss {losses[-1]:.4g}")
            if team.leads and ((step + 1) % schedule.validate_every == 0 or step + 1 == schedule.steps):
                model.eval()
                with torch.inference_mode(), autocast:
                    look = {"step": step + 1, "train_loss": sum(losses) / len(losses), **validate(model)}
                _refuse_not_finite("validation loss", look["valid_loss"], step)
                progress.clear()
                say("  ".join(f"{name} {value:.5g}" for name, value in look.items()))
                losses.clear()
                if chosen([*done.curve, look], schedule) is look:
                    done.best = {  # in main memory: a network of method 1 fills a graphics card
                        name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()
                    }
                done.curve.append(look)
                done.step = step + 1
                _save(checkpoint, key, model, optimiser, done)
    if team.leads:
        say(f"waited for batches {waited_s:.1f} of {time.perf_counter() - started:.1f} s")
        model.load_state_dict(done.best)
    return done.curve


def chosen(curve: Sequence[Look], schedule: Schedule) -> Look:
    """The look whose weights are kept."""
    return curve[-1] if schedule.keep == "last" else min(curve, key=lambda look: look["valid_loss"])


def _refuse_not_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        code = "M_NOT_FINITE"
        raise LunglineError(f"{code}: the {name} is {value} at step {step}. Lower training.learning_rate.")


def learning_rate_at(schedule: Schedule, step: int) -> float:
    """Constant, or a half cosine from `learning_rate` to zero after a short rise."""
    if schedule.decay == "constant":
        return schedule.learning_rate
    rise = min(1.0, (step + 1) / max(1, schedule.steps // 20))
    return schedule.learning_rate * rise * (1 + math.cos(math.pi * step / schedule.steps)) / 2


def saved(checkpoint: Path) -> list[Path]:
    """The checkpoints of a training that are there, the newest first."""
    start = f"{checkpoint.stem}-step"
    found = [path for path in checkpoint.parent.glob(f"{start}*{checkpoint.suffix}") if path.is_file()]
    return sorted(found, key=lambda path: int(path.stem.removeprefix(start)), reverse=True)


def _save(checkpoint: Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer, done: Standing) -> None:
    """One safetensors file: weights, best weights, Adam's moments; the rest as JSON in its header.

    The one before goes when this one is whole: a kill at any moment leaves one to go on from.
    """
    before = saved(checkpoint)
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"best.{name}": value for name, value in done.best.items()}
    for number, state in optimiser.state_dict()["state"].items():
        tensors |= {f"adam.{number}.{name}": torch.as_tensor(value) for name, value in state.items()}
    curve = [list(look.items()) for look in done.curve]  # the header would sort the names of a mapping
    path = checkpoint.with_name(f"{checkpoint.stem}-step{done.step}{checkpoint.suffix}")
    write_tensors(path, tensors, {"key": key, "step": done.step, "curve": curve})
    for old in before:
        if old != path:
            remove(old)


def _resume(
    checkpoint: Path, key: str, model: nn.Module, optimiser: torch.optim.Optimizer, device: torch.device
) -> Standing | None:
    """Where the newest whole checkpoint of this training stood, its weights and moments put in place."""
    for path in saved(checkpoint):
        try:
            tensors, about = read_tensors(path)
        except CorruptFileError:
            continue  # a damaged checkpoint costs time, never a result
        if about.get("key") == key:
            return _put_in_place(tensors, about, model, optimiser, device)
    return None


def _put_in_place(
    tensors: Mapping[str, Tensor],
    about: Mapping[str, Any],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    device: torch.device,
) -> Standing:
    parts: dict[str, dict[str, Any]] = {"model": {}, "best": {}, "adam": {}}
    for name, value in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = value if part == "best" else value.to(device)
    model.load_state_dict(parts["model"])
    state = optimiser.state_dict()
    for name, value in parts["adam"].items():
        number, _, moment = name.partition(".")
        state["state"].setdefault(int(number), {})[moment] = value.cpu() if moment == "step" else value
    optimiser.load_state_dict(state)
    return Standing(step=int(about["step"]), curve=[dict(look) for look in about["curve"]], best=parts["best"])
