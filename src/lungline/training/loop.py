"""The training loop: resumable, and the same weights however often it is interrupted.

Every batch is a function of (seed, step), so a resumed run sees exactly what an uninterrupted one would.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lungline.config.models import Config
from lungline.config.networks import Schedule
from lungline.detection.unet import count_parameters
from lungline.device import half_precision, make_repeatable, pick_device
from lungline.errors import LunglineError
from lungline.fingerprint import code_fingerprint
from lungline.imaging.acquisition import ranges_of
from lungline.names import Precision
from lungline.progress import Progress
from lungline.storage import hdf5
from lungline.storage.checksums import check
from lungline.storage.weights import write_model
from lungline.training.checkpoints import Checkpoints
from lungline.training.distributed import SINGLE, ProcessGroup
from lungline.training.task import Batch, Evaluation, TrainingTask


@dataclass(frozen=True)
class TrainingContext:
    """Where and how a network is trained, whatever it is.

    `output` is the model folder (weights.safetensors, card.json, learning_curve.csv), `seed` that of dropout: batches
    and first weights have taken it already. Each process of `group` computes its part of a batch; the main one
    validates and writes.
    """

    output: Path
    checkpoints: Path
    seed: int
    device: torch.device
    precision: Precision = "float32"
    group: ProcessGroup = SINGLE

    @classmethod
    def of(cls, config: Config, schedule: Schedule, device: str, output: Path, checkpoints: Path) -> TrainingContext:
        """That of a configuration; from here on what is drawn follows from the seed of this training."""
        seed = schedule.seed_in(config.seed)
        make_repeatable(seed)
        return cls(output, checkpoints, seed, pick_device(device), config.precision)


def fit(task: TrainingTask, schedule: Schedule, context: TrainingContext) -> None:
    """Train, or go on from a checkpoint of the same training, and write the model folder `context.output`."""
    cases, group = task.cases(), context.group
    settings = {
        "schedule": schedule.model_dump(mode="json"),
        "seed": context.seed,
        "precision": context.precision,
        "code": code_fingerprint(f"lungline.stages.{task.stage}"),
        "input_sha256": {
            split: {scan: [check(path) for path in files] for scan, files in scans.items()}
            for split, scans in cases.items()
        },
    }
    machine = {"device": context.device.type, "threads": torch.get_num_threads(), "processes": group.size}
    identity = json.dumps({**settings, **machine, "card": dict(task.card())}, sort_keys=True)
    checkpoints = Checkpoints(context.checkpoints, task.stage, hashlib.sha256(identity.encode()).hexdigest())
    parameters = count_parameters(task.model)
    together = f", {group.size} processes" if group.size > 1 else ""
    group.print(f"{parameters:,} parameters, {schedule.steps} steps on {context.device.type}{together}")
    started = time.perf_counter()
    curve = train(task, schedule, context, checkpoints)
    if not group.is_main:
        return
    group.print(f"trained in {time.perf_counter() - started:.0f} s")
    autocast, _ = half_precision(context.device, context.precision)
    with torch.inference_mode(), autocast:
        warnings, finished = task.warnings(curve), task.finish()
    for warning in warnings:
        group.print(f"{warning.flag}: {warning.detail}")
    card = {
        **task.card(),
        **finished,
        **settings,
        **_about_cases(cases),
        "parameters": parameters,
        "selected": {
            "by": "last" if schedule.checkpoint == "last" else "smallest valid_loss",
            **selected(curve, schedule),
        },
        "warnings": [[warning.flag, warning.detail] for warning in warnings],
    }
    write_model(context.output, task.model.state_dict(), curve, card)
    checkpoints.remove()


def train(
    task: TrainingTask, schedule: Schedule, context: TrainingContext, checkpoints: Checkpoints
) -> list[Evaluation]:
    """Train `task.model` in place and leave the selected weights in it.

    The learning curve comes back: step, train_loss, and what `task.evaluate` gave, one row per validation. The main
    process alone has it, and the selected weights; the others end with those of the last step. `LunglineError`
    (M_NOT_FINITE) if a loss is no longer a finite number.
    """
    model, group, losses = task.model.to(context.device), context.group, list[float]()
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay)
    autocast, scaled = half_precision(context.device, context.precision)
    scaler = torch.amp.GradScaler(context.device.type, enabled=scaled)
    state = checkpoints.resume(model, optimiser)
    if state.step:
        group.print(f"resumed at step {state.step} of {schedule.steps}")
    steps, progress = range(state.step, schedule.steps), Progress(schedule.steps, done=state.step)
    started, waited_s = time.perf_counter(), 0.0
    with closing(batches_ahead(task.batch, steps, context.device)) as batches:
        for step in steps:
            asked = time.perf_counter()
            batch = next(batches)
            waited_s += time.perf_counter() - asked
            for parameters in optimiser.param_groups:
                parameters["lr"] = learning_rate_at(schedule, step)
            # dropout too depends on the step alone, and on which part of the batch it is
            torch.manual_seed((context.seed * 1_000_003 + step) * group.size + group.rank)
            model.train()
            optimiser.zero_grad(set_to_none=True)
            own_loss = 0.0
            for share, part in task.micro_batches(batch):
                with autocast:
                    loss = task.loss(part) * share
                scaler.scale(loss).backward()
                own_loss += float(loss.detach())
            losses.append(group.all_reduce(model, own_loss))
            scaler.step(optimiser)
            scaler.update()
            _refuse_not_finite("loss", losses[-1], step)
            if not group.is_main:
                continue
            progress.log(step + 1, f"loss {losses[-1]:.4g}")
            if (step + 1) % schedule.validate_every == 0 or step + 1 == schedule.steps:
                model.eval()
                with torch.inference_mode(), autocast:
                    evaluation = {"step": step + 1, "train_loss": sum(losses) / len(losses), **task.evaluate()}
                _refuse_not_finite("validation loss", evaluation["valid_loss"], step)
                progress.clear()
                group.print("  ".join(f"{name} {value:.5g}" for name, value in evaluation.items()))
                losses.clear()
                state.curve.append(evaluation)
                state.step = step + 1
                if selected(state.curve, schedule) is evaluation:
                    # in main memory: a network of method 1 fills a graphics card
                    state.best = {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}
                checkpoints.save(state, model, optimiser)
    if group.is_main:
        group.print(f"waited for batches {waited_s:.1f} of {time.perf_counter() - started:.1f} s")
        model.load_state_dict(state.best)
    model.eval()
    return state.curve


def selected(curve: Sequence[Evaluation], schedule: Schedule) -> Evaluation:
    """The validation whose weights are kept: that with the smallest loss, or the last."""
    return curve[-1] if schedule.checkpoint == "last" else min(curve, key=lambda evaluation: evaluation["valid_loss"])


def learning_rate_at(schedule: Schedule, step: int) -> float:
    """Constant, or a half cosine from `learning_rate` to zero after a short rise."""
    if schedule.decay == "constant":
        return schedule.learning_rate
    rise = min(1.0, (step + 1) / max(1, schedule.steps // 20))
    return schedule.learning_rate * rise * (1 + math.cos(math.pi * step / schedule.steps)) / 2


def _refuse_not_finite(name: str, value: float, step: int) -> None:
    if not math.isfinite(value):
        flag = "M_NOT_FINITE"
        raise LunglineError(f"{flag}: the {name} is {value} at step {step}. Lower training.learning_rate.")


def _about_cases(cases: Mapping[str, Mapping[str, Sequence[Path]]]) -> dict[str, Any]:
    """Their names; the hash of their pixels, by which a copy under another name is known; how they were acquired."""
    about = {
        split: {scan: hdf5.read_header(files[0]).provenance for scan, files in scans.items()}
        for split, scans in cases.items()
    }
    pixels = {
        split: {scan: known["hu_sha256"] for scan, known in scans.items() if known.get("hu_sha256")}
        for split, scans in about.items()
    }
    acquisition = ranges_of(known.get("acquisition", {}) for known in about["train"].values())
    names = {split: sorted(scans) for split, scans in cases.items()}
    return {"cases": names, "case_hu_sha256": pixels, "acquisition": acquisition}


def batches_ahead(make_batch: Callable[[int], Batch], steps: Sequence[int], device: torch.device) -> Generator[Batch]:
    """The batch of each step in their order, whoever makes it; to be closed.

    On a CPU a thread is one step ahead: the cores are the network's. A GPU leaves them free and is faster than one of
    them: as many processes make batches as the job has threads, each two ahead, in memory that the GPU reads itself.
    """
    if device.type == "cuda":
        yield from _by_processes(make_batch, steps)
        return
    with ThreadPoolExecutor(max_workers=1) as ahead:
        coming = None
        for step in steps:
            ready, coming = coming, ahead.submit(make_batch, step)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()


def _by_processes(make_batch: Callable[[int], Batch], steps: Sequence[int]) -> Iterator[Batch]:
    from torch.utils.data import DataLoader  # of the GPU's jobs alone: importing it costs all others time

    loader: Any = DataLoader(
        _Steps(make_batch),  # type: ignore[arg-type]
        batch_size=None,
        sampler=steps,
        collate_fn=lambda batch: batch,
        num_workers=torch.get_num_threads(),
        worker_init_fn=lambda worker: torch.set_num_threads(1),
        pin_memory=torch.cuda.is_available(),
    )
    for batch in loader:
        if isinstance(batch, LunglineError):
            raise batch
        yield batch


@dataclass(frozen=True)
class _Steps:
    """A data set whose item of a number is the batch of this step; or what is wrong with it, in its own words."""

    make_batch: Callable[[int], Any]

    def __getitem__(self, step: int) -> Any:
        try:
            return self.make_batch(step)
        except LunglineError as error:
            return error
