"""Table 2 and Fig. 4: the numbers of parameters, and that a larger picture changes nothing but the shape."""

import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import DetectorSpec, read_classifier
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.config.settings import read_settings
from lungline.detection.unet import UNet, count_parameters, describe
from lungline.errors import LunglineError


def test_table_2_on_two_channels_of_32_cubed_has_2246849_parameters():
    assert count_parameters(CancerNet(CancerNetSpec())) == 2_246_849


def test_table_2_on_one_channel_of_64_cubed_has_13255601_parameters():
    assert count_parameters(CancerNet(CancerNetSpec(in_channels=1, shape_zyx=(64, 64, 64)))) == 13_255_601


def test_the_classic_unet_has_31030593_parameters():
    assert count_parameters(UNet(UNetSpec())) == 31_030_593


def test_fig_4_lists_every_parameter_once():
    rows = describe(UNetSpec(base_channels=8, levels=4), 64, 96)
    assert sum(row.parameters for row in rows) == count_parameters(UNet(UNetSpec(base_channels=8, levels=4)))
    assert rows[0][1:4] == (8, 64, 96)
    assert rows[3][1:4] == (64, 8, 12)
    assert rows[-1][1:4] == (1, 64, 96)


@pytest.mark.parametrize("shape", [(64, 64), (37, 51), (8, 9), (1, 5)])
def test_the_unet_answers_for_a_slice_of_any_size(shape):
    network = UNet(UNetSpec(base_channels=4, levels=4)).eval()
    assert network(torch.zeros(2, 1, *shape)).shape == (2, 1, *shape)


def test_continuing_a_slice_with_air_is_what_padding_does():
    torch.manual_seed(0)
    network = UNet(UNetSpec(base_channels=4, levels=3)).eval()
    x = torch.rand(1, 1, 30, 41)
    whole = torch.zeros(1, 1, 32, 44)
    whole[..., :30, :41] = x
    torch.testing.assert_close(network(x), network(whole)[..., :30, :41])


def test_dropout_is_drawn_while_training_only():
    torch.manual_seed(0)
    network = UNet(UNetSpec(base_channels=4, levels=3, dropout=0.5))
    x = torch.rand(1, 1, 16, 16)
    assert not torch.equal(network(x), network(x))
    network.eval()
    torch.testing.assert_close(network(x), network(x))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"training": {"steps": 1, "batch": 1}, "network": {"base_chanels": 8}}, "Did you mean 'base_channels'"),
        ({"training": {"steps": 1, "batch": 1}, "losses": {}}, "has no key 'losses'. Did you mean 'loss'"),
        ({"training": {"steps": 0, "batch": 1}}, "steps"),
        ({"training": {"steps": 1, "batch": 1}, "network": {"slices": 2}}, "odd"),
    ],
)
def test_a_detector_that_makes_no_sense_is_refused_by_name(entry, message):
    with pytest.raises(LunglineError, match=message):
        read_settings(DetectorSpec, entry, "detector")


PATCHES = {"kind": "candidate", "detector": "paper", "training": {"steps": 1, "batch": 4}}
VOLUME = {"kind": "whole_volume", "input": {"resize_to": 64}, "training": {"steps": 1, "batch": 4}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**PATCHES, "kind": "whole_volumes"}, "kind: expected 'candidate', 'whole_volume', 'baseline'"),
        ({**PATCHES, "network": {"channels": [1, 2]}}, "network.channels: expected a list of more than 2"),
        ({**PATCHES, "network": {"shape_zyx": [30, 7, 32]}}, "8 to 512 voxels"),
        (
            {**PATCHES, "training": {"steps": 1, "batch": 4, "micro_batch": 5}},
            "micro_batch: expected 1 to batch, 4",
        ),
        ({**VOLUME, "detector": "paper"}, "has no key 'detector'"),
        ({**VOLUME, "input": {"resize_to": 64, "pad_to": "largest"}}, "either resize_to or pad_to"),
        ({**VOLUME, "input": {}}, "either resize_to or pad_to"),
        ({**VOLUME, "input": {"pad_to": "larger"}}, "input.pad_to: expected 'largest' or a list"),
        ({**VOLUME, "input": {"resize_to": 64, "crop": 64}}, "input.crop: expected less than resize_to"),
        ({**VOLUME, "input": {"pad_to": "largest", "crop": 54}}, "input.crop: expected less than resize_to"),
        ({**VOLUME, "network": {"shape_zyx": [64, 64, 64]}}, "network has no key 'shape_zyx'"),
        ({**VOLUME, "network": {"norm": "layer"}}, "norm: expected 'none', 'group' or 'batch'"),
        (
            {**VOLUME, "network": {"norm": "batch"}, "training": {"steps": 1, "batch": 1}},
            "'batch' needs 2 or more",
        ),
        ({"kind": "baseline", "cancer_probability": 2}, "cancer_probability: expected .*'prior'"),
        ({"kind": "baseline", "cancer_probability": "posterior"}, "cancer_probability: expected .*'prior'"),
        ({"kind": "baseline", "cancer_probability": 0, "training": {}}, "has no key 'training'"),
    ],
)
def test_a_classifier_that_makes_no_sense_is_refused_by_name(entry, message):
    with pytest.raises(LunglineError, match=message) as refusal:
        read_classifier(entry)
    assert "\n" not in str(refusal.value)
