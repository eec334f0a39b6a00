"""Weights on disk: safetensors with one JSON header, and the card beside them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from lungline import NOTICE, __version__
from lungline.errors import CorruptFileError
from lungline.former_names import refuse_former_card, tensor_now_called
from lungline.storage.checksums import check, checksummed_path, write_checksummed_text

_KEY = "lungline"  # the only metadata key: several would be written in random order


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header, whole or not at all; same content, same bytes."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with checksummed_path(path) as temporary:
        save_file(plain, temporary, metadata={_KEY: json.dumps({"notice": NOTICE, **about}, sort_keys=True)})


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header; `CorruptFileError` for a file that is damaged or not ours."""
    check(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})[_KEY])
            return {tensor_now_called(name): file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        found = f"{path}: not readable as lungline weights ({type(error).__name__})."
        raise CorruptFileError(f"{found} Train again.") from error


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write a model card: input of the weights, training cases, settings, validation."""
    content = {"notice": NOTICE, "lungline_version": __version__, **card}
    write_checksummed_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """A card that `write_card` wrote."""
    check(path)
    try:
        card = dict(json.loads(Path(path).read_text(encoding="utf-8")))
    except ValueError as error:
        raise CorruptFileError(f"{path}: not a model card ({error}).") from error
    refuse_former_card(card, str(path))
    return card


def pixels_trained_on(card: Mapping[str, Any]) -> frozenset[str]:
    """SHA-256 of the HU of every training and validation case of a card; empty for a card that does not tell."""
    return frozenset(value for scans in card.get("case_hu_sha256", {}).values() for value in scans.values())


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """The learning curve as CSV, one row per validation."""
    names = list(curve[0])
    lines = [",".join(names), *(",".join(f"{row[name]:.8g}" for name in names) for row in curve)]
    write_checksummed_text(path, "\n".join(lines) + "\n")


def write_model(
    folder: Path, tensors: Mapping[str, Tensor], curve: list[dict[str, float]], card: Mapping[str, Any]
) -> None:
    """A model folder: weights.safetensors, learning_curve.csv, and card.json with the SHA-256 of the weights."""
    weights = folder / "weights.safetensors"
    write_tensors(weights, tensors, {"purpose": card["purpose"]})
    write_curve(folder / "learning_curve.csv", curve)
    write_card(folder / "card.json", {**card, "weights_sha256": check(weights)})
