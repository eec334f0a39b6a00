"""A model folder is loaded whole or refused: weights, card and the data they were made for belong together."""

import pytest
import torch

from lungline.config.networks import UNetSpec
from lungline.detection.unet import UNet
from lungline.errors import CorruptFileError, LunglineError
from lungline.storage import checksums
from lungline.storage.weights import (
    cases_trained_on,
    initialised_from,
    pixels_trained_on,
    read_card,
    write_card,
    write_tensors,
)
from lungline.training.model_folder import load_unet, refuse_other_caches, take_weights

MADE_BY = {"region": "lung_box", "outside_hu": -1000.0}
CPU = torch.device("cpu")


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    network = {"base_channels": 2, "levels": 2}
    write_tensors(tmp_path / "weights.safetensors", UNet(UNetSpec(**network)).state_dict(), {"purpose": "test"})
    digest = checksums.sha256(tmp_path / "weights.safetensors")
    write_card(tmp_path / "card.json", {"network": network, "weights_sha256": digest, "cache": MADE_BY})
    return tmp_path


def test_a_model_comes_back_as_it_was(folder):
    torch.manual_seed(0)
    expected = UNet(UNetSpec(base_channels=2, levels=2)).state_dict()
    for name, value in load_unet(folder, CPU).state_dict().items():
        assert torch.equal(value, expected[name])


def test_weights_that_are_not_the_cards_are_refused(folder):
    write_tensors(folder / "weights.safetensors", UNet(UNetSpec(base_channels=2, levels=2)).state_dict(), {"other": 1})
    with pytest.raises(CorruptFileError, match="is not the card's"):
        load_unet(folder, CPU)


def test_weights_that_do_not_fit_the_network_are_refused(folder):
    write_card(folder / "card.json", {**read_card(folder / "card.json"), "network": {"base_channels": 4, "levels": 2}})
    with pytest.raises(CorruptFileError, match="do not fit"):
        load_unet(folder, CPU)


def test_weights_that_are_not_finite_are_refused(folder):
    tensors = UNet(UNetSpec(base_channels=2, levels=2)).state_dict()
    tensors["logit.bias"] *= float("nan")
    write_tensors(folder / "weights.safetensors", tensors, {"purpose": "test"})
    digest = checksums.sha256(folder / "weights.safetensors")
    write_card(folder / "card.json", {**read_card(folder / "card.json"), "weights_sha256": digest})
    with pytest.raises(CorruptFileError, match=r"'logit\.bias' of the weights is not finite"):
        load_unet(folder, CPU)


def test_a_detector_of_the_lung_box_is_not_run_on_whole_slices(folder):
    with pytest.raises(LunglineError, match=r"lung_box.*whole"):
        refuse_other_caches(folder, read_card(folder / "card.json"), {"region": "whole", "outside_hu": -1000.0})


def test_a_network_begins_with_the_weights_of_a_folder_of_the_same_shapes(folder):
    begun = UNet(UNetSpec(base_channels=2, levels=2))
    assert take_weights(begun, folder)["initialised_from"]["weights_sha256"]
    expected = load_unet(folder, CPU).state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in begun.state_dict().items())
    with pytest.raises(LunglineError, match=r"init_from: .* there and .* here"):
        take_weights(UNet(UNetSpec(base_channels=4, levels=2)), folder)


def test_what_the_first_weights_saw_counts_as_seen_through_every_fine_tuning():
    def card(number, begun=None):
        about = {"cases": {"train": [f"t{number}"], "valid": [f"v{number}"]}, "weights_sha256": "0"}
        about["case_hu_sha256"] = {"train": {f"t{number}": f"hash-{number}"}, "valid": {}}
        return about | (initialised_from(begun) if begun else {})

    third = card(3, card(2, card(1)))
    assert cases_trained_on(third) == {"t1", "v1", "t2", "v2", "t3", "v3"}
    assert pixels_trained_on(third) == {"hash-1", "hash-2", "hash-3"}
    assert pixels_trained_on(card(3)) == {"hash-3"}
