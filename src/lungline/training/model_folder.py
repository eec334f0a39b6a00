"""Networks from a model folder: `weights.safetensors` and `card.json`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.config.settings import read_settings
from lungline.detection.unet import UNet
from lungline.errors import CorruptFileError, LunglineError
from lungline.storage.checksums import check
from lungline.storage.weights import initialised_from, read_card, read_shapes, read_tensors

Model = TypeVar("Model", UNet, CancerNet)


def load_unet(folder: Path, device: torch.device) -> UNet:
    """The U-Net of one axis, ready to predict."""
    return _filled(network_of(folder, UNet), folder, device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def refuse_other_caches(folder: Path, card: Mapping[str, Any], made_by: Mapping[str, Any]) -> None:
    """`LunglineError` if the U-Net of a folder was trained on caches of other settings (a lung box, whole slices)."""
    if card.get("cache") != dict(made_by):
        raise LunglineError(
            f"{folder}: trained on caches with {card.get('cache')}, but this cache was made with {dict(made_by)}. "
            "Set cache_volume in the configuration as in the training."
        )


def load_cancer_net(folder: Path, device: torch.device) -> CancerNet:
    """The cancer network of a classifier, ready to predict."""
    return _filled(network_of(folder, CancerNet), folder, device)


def network_of(folder: Path, kind: type[Model]) -> Callable[[], Model]:
    """What builds the network of a card; `CorruptFileError` if the weights have other tensors. None is read."""
    read = UNetSpec if kind is UNet else CancerNetSpec
    spec = read_settings(read, checked_card(folder).get("network"), f"{folder}/card.json: network")
    with torch.device("meta"):  # shapes without memory
        wanted = {name: tuple(value.shape) for name, value in kind(spec).state_dict().items()}
    found = read_shapes(folder / "weights.safetensors")
    if differs := wanted.items() ^ found.items():
        name = min(differs)[0]
        raise CorruptFileError(
            f"{folder}: the weights do not fit the network of the card. Expected '{name}' "
            f"{wanted.get(name, 'nowhere')}. Found {found.get(name, 'none')}."
        )
    return lambda: kind(spec)


def take_convolutions(network: CancerNet, folder: Path) -> dict[str, Any]:
    """Set the convolutions and norms of `network` to those in `folder`; the entry of the card on it.

    `LunglineError` if they are not of the same shapes.
    """
    card, (tensors, _) = checked_card(folder), read_tensors(folder / "weights.safetensors")
    taken = {name: value for name, value in tensors.items() if name.startswith(("conv", "norms"))}
    own = network.state_dict()
    if {n: v.shape for n, v in taken.items()} != {n: v.shape for n, v in own.items() if n.startswith(("conv", "norm"))}:
        raise LunglineError(
            f"{folder}: its convolutions have other shapes. Make network.channels, norm and in_channels equal to those "
            "of the detector's false-positive reduction."
        )
    network.load_state_dict({**own, **taken})
    return initialised_from(card)


def take_weights(network: UNet | CancerNet, folder: Path) -> dict[str, Any]:
    """Set all weights of `network` to those in `folder`, to go on from there; the entry of the card on it.

    `LunglineError` if they are not of the same shapes.
    """
    card, shapes = checked_card(folder), read_shapes(folder / "weights.safetensors")
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if differs := wanted.items() ^ shapes.items():
        name = min(differs)[0]
        raise LunglineError(
            f"init_from: {folder}: '{name}' is {shapes.get(name, 'none')} there and {wanted.get(name, 'none')} here. "
            "Make `network` of the entry equal to that of the card there."
        )
    tensors, _ = read_tensors(folder / "weights.safetensors")
    network.load_state_dict(tensors)
    return initialised_from(card)


def refuse_other_beginning(configured: str | None, given: Path | None) -> None:
    """`LunglineError` unless a folder is given exactly where the configuration names weights to begin with."""
    if (configured is None) != (given is None):
        raise LunglineError(
            f"this training begins with {configured or 'random weights'} (`init_from` of its entry). Give --init-from "
            "where that names a folder, and only then."
        )


def checked_card(folder: Path) -> dict[str, Any]:
    """The card of a model folder; `CorruptFileError` if its weights are not those that lie beside it."""
    card = read_card(folder / "card.json")
    found = check(folder / "weights.safetensors")
    if card.get("weights_sha256") != found:
        raise CorruptFileError(
            f"{folder / 'weights.safetensors'}: SHA-256 {found[:12]}... is not the card's "
            f"{str(card.get('weights_sha256'))[:12]}.... The weights or the card have changed; train again."
        )
    return card


def _filled(build: Callable[[], Model], folder: Path, device: torch.device) -> Model:
    tensors, _ = read_tensors(folder / "weights.safetensors")
    if strange := [name for name, value in tensors.items() if not torch.isfinite(value).all()]:
        raise CorruptFileError(f"{folder}: '{strange[0]}' of the weights is not finite. Train again.")
    (model := build()).load_state_dict(tensors)
    return model.to(device).eval()
