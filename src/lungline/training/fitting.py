"""From a model and its batches to a model folder: fit, then write weights, card and learning curve."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lungline.config.networks import Schedule
from lungline.detection.unet import count_parameters
from lungline.fingerprint import code_fingerprint
from lungline.imaging.acquisition import ranges_of
from lungline.names import Precision
from lungline.storage import hdf5
from lungline.storage.checksums import Origin, check, remove
from lungline.storage.hdf5 import Code
from lungline.storage.weights import write_card, write_curve, write_tensors
from lungline.training.distributed import ALONE, Team
from lungline.training.loop import Batch, Look, chosen, fit, in_one_part, saved


def fit_and_write(
    output: Path,
    model: nn.Module,
    schedule: Schedule,
    *,
    make_batch: Callable[[int], Batch],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    validate: Callable[[nn.Module], Look],
    checkpoints: Path,
    seed: int,
    device: torch.device,
    precision: Precision = "float32",
    stage: str,
    card: Mapping[str, Any],
    cases: Mapping[str, Mapping[str, Sequence[Path]]],
    split: Callable[[Batch], Sequence[tuple[float, Batch]]] = in_one_part,
    team: Team = ALONE,
    judge: Callable[[nn.Module, Sequence[Look]], Sequence[Code]] = lambda model, curve: (),
    finish: Callable[[nn.Module], Mapping[str, Any]] = lambda model: {},
) -> None:
    """Train and write OUTPUT/{weights.safetensors, card.json, learning_curve.csv}.

    Parameters
    ----------
    checkpoints : Path
        Folder outside the declared outputs. A checkpoint is named by the hash of settings, code and inputs,
        so one of another configuration is never resumed; it is removed once the weights are written.
    card : mapping
        What the caller knows: purpose, inputs, settings.
    cases : mapping of split to scans to files
        Every scan that took part, with the files it was read from (HDF5). All of them are hashed into the card,
        with the hash of the scan's pixels, by which a copy under another name is known.
    split, team : callable, Team
        See `fit`. The first process of a team writes, the others only train.
    judge : callable
        Looks at the trained model and its learning curve; its codes are said and stand in the card as `warnings`.
    finish : callable
        Fits to the trained model what is not learnt by steps; what it says stands in the card.
    """
    inputs = {
        split: {scan: [check(path) for path in files] for scan, files in scans.items()}
        for split, scans in cases.items()
    }
    identity = {
        "code": code_fingerprint(f"lungline.stages.{stage}"),
        "schedule": schedule.model_dump(),
        "seed": seed,
        "device": device.type,
        "precision": precision,
        "threads": torch.get_num_threads(),
        "processes": team.size,
        "inputs": inputs,
        "card": dict(card),
    }
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    checkpoint = checkpoints / f"{stage}-{key[:16]}.safetensors"
    together = f", {team.size} processes" if team.size > 1 else ""
    team.say(f"{count_parameters(model):,} parameters, {schedule.steps} steps on {device.type}{together}")
    started = time.perf_counter()
    curve = fit(
        model.to(device),
        schedule,
        make_batch=make_batch,
        loss_of=loss_of,
        validate=validate,
        checkpoint=checkpoint,
        key=key,
        seed=seed,
        device=device,
        precision=precision,
        split=split,
        team=team,
        say=team.say,
    )
    if not team.leads:
        return
    print(f"trained in {time.perf_counter() - started:.0f} s", flush=True)
    warnings = judge(model.eval(), curve)
    for warning in warnings:
        print(f"{warning.code}: {warning.detail}", flush=True)
    finished = finish(model)
    weights = output / "weights.safetensors"
    files = tuple(path for scans in cases.values() for paths in scans.values() for path in paths)
    write_tensors(weights, model.state_dict(), {"purpose": card["purpose"]}, Origin(stage, files))
    write_curve(output / "learning_curve.csv", curve, Origin(stage, files))
    write_card(
        output / "card.json",
        {
            **card,
            **finished,
            "parameters": count_parameters(model),
            "schedule": schedule.model_dump(),
            "seed": seed,
            "precision": precision,
            "cases": {split: sorted(scans) for split, scans in cases.items()},
            "case_hu_sha256": {split: _pixels(scans) for split, scans in cases.items()},
            "acquisition": _acquisition(cases["train"]),
            "input_sha256": inputs,
            "code": identity["code"],
            "chosen": {"by": "last" if schedule.keep == "last" else "smallest valid_loss", **chosen(curve, schedule)},
            "warnings": [[warning.code, warning.detail] for warning in warnings],
            "weights_sha256": check(weights),
        },
        Origin(stage, (weights, *files)),
    )
    for path in saved(checkpoint):
        remove(path)


def _acquisition(scans: Mapping[str, Sequence[Path]]) -> dict[str, list[float]]:
    """How the scans were made that the model has learnt from; see `lungline.imaging.acquisition`."""
    return ranges_of(hdf5.read_header(files[0]).provenance.get("acquisition", {}) for files in scans.values())


def _pixels(scans: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """scan -> SHA-256 of its HU as ingest read them."""
    hashes = {scan: hdf5.read_header(files[0]).provenance.get("hu_sha256") for scan, files in scans.items()}
    return {scan: str(value) for scan, value in sorted(hashes.items()) if value}
