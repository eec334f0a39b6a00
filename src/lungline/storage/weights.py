"""Weights on disk: safetensors with one JSON header, and the card beside them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from lungline import NOTICE, __version__
from lungline.errors import CorruptFileError
from lungline.former_names import refuse_former_card, tensor_now_called
from lungline.storage.checksums import check, checksummed_path, write_checksummed_text
from lungline.storage.foreign_files import MOST_WEIGHTS_BYTES, read_json, refuse_larger

if TYPE_CHECKING:
    from torch import Tensor

_MOST_HEADER_BYTES = 1 << 20  # the names and shapes of some 60 tensors take 6 kB
_FLOATS = ("F16", "BF16", "F32")

_KEY = "lungline"  # the only metadata key: several would be written in random order


def write_tensors(path: Path, tensors: Mapping[str, "Tensor"], about: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header, whole or not at all; same content, same bytes."""
    from safetensors.torch import save_file  # and with it PyTorch, which reading a card does not need

    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    with checksummed_path(path) as temporary:
        save_file(plain, temporary, metadata={_KEY: json.dumps({"notice": NOTICE, **about}, sort_keys=True)})


def read_tensors(path: Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Tensors and header; `CorruptFileError` for a file that is damaged or not ours."""
    read_shapes(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(json.loads((file.metadata() or {})[_KEY]))
            return {tensor_now_called(name): file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError, OSError, RecursionError) as error:
        raise _unreadable(path, type(error).__name__) from error


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Shapes of the tensors by name, from the header alone; `CorruptFileError` as `read_tensors`."""
    refuse_larger(path, MOST_WEIGHTS_BYTES)
    check(path)
    with open(path, "rb") as file:
        if int.from_bytes(file.read(8), "little") > _MOST_HEADER_BYTES:
            raise _unreadable(path, f"a header of more than {_MOST_HEADER_BYTES} bytes")
    try:
        with safe_open(path, framework="pt") as tensors:
            found = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118
            whole = {"I64"} & {one.get_dtype() for name, one in found.items() if "num_batches" in name}
            if strange := {one.get_dtype() for one in found.values()} - {*_FLOATS, *whole}:
                raise _unreadable(path, f"numbers of type {min(strange)}")
            return {tensor_now_called(name): tuple(one.get_shape()) for name, one in found.items()}
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, type(error).__name__) from error


def _unreadable(path: Path, why: str) -> CorruptFileError:
    return CorruptFileError(f"{path}: not readable as lungline weights ({why}). Train again.")


def write_card(path: Path, card: Mapping[str, Any]) -> None:
    """Write a model card: input of the weights, training cases, settings, validation."""
    content = {"notice": NOTICE, "lungline_version": __version__, **card}
    write_checksummed_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def read_card(path: Path) -> dict[str, Any]:
    """A card that `write_card` wrote."""
    card = read_json(path)
    check(path)
    refuse_former_card(card, str(path))
    return card


def pixels_trained_on(card: Mapping[str, Any]) -> frozenset[str]:
    """SHA-256 of the HU of every training and validation case of a card; empty for a card that does not tell.

    Those of the weights that its training began with are among them.
    """
    return frozenset(
        value for one in _lineage(card) for scans in one.get("case_hu_sha256", {}).values() for value in scans.values()
    )


def cases_trained_on(card: Mapping[str, Any]) -> frozenset[str]:
    """Ids of every training and validation case of a card, and of the weights that its training began with."""
    return frozenset(
        scan for one in _lineage(card) for split in ("train", "valid") for scan in one.get("cases", {}).get(split, ())
    )


def initialised_from(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of the weights that a training begins with, of which `card` is the card."""
    told = ("weights_sha256", "cases", "case_hu_sha256", "initialised_from")
    return {"initialised_from": {key: card[key] for key in told if key in card}}


def _lineage(card: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """A card, what it says of the weights that its training began with, and so on."""
    while card:
        yield card
        card = card.get("initialised_from", {})


def write_curve(path: Path, curve: list[dict[str, float]]) -> None:
    """The learning curve as CSV, one row per validation."""
    names = list(curve[0])
    lines = [",".join(names), *(",".join(f"{row[name]:.8g}" for name in names) for row in curve)]
    write_checksummed_text(path, "\n".join(lines) + "\n")


def write_model(
    folder: Path, tensors: Mapping[str, "Tensor"], curve: list[dict[str, float]], card: Mapping[str, Any]
) -> None:
    """A model folder: weights.safetensors, learning_curve.csv, and card.json with the SHA-256 of the weights."""
    weights = folder / "weights.safetensors"
    write_tensors(weights, tensors, {"purpose": card["purpose"]})
    write_curve(folder / "learning_curve.csv", curve)
    write_card(folder / "card.json", {**card, "weights_sha256": check(weights)})
