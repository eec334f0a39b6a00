"""Every row of the paper's tables is an entry of the configuration, and its network is of the size it should be."""

from pathlib import Path

import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.entries import BaselineClassifier, CandidateClassifier
from lungline.config.loading import read_config_files
from lungline.config.models import Config
from lungline.config.networks import CancerNetSpec
from lungline.detection.unet import UNet, count_parameters

CONFIG = Path(__file__).resolve().parents[2] / "config"

PARAMETERS = {
    "m2": 2_246_849,
    "m2-wp500": 2_246_849,
    "m2-wp100": 2_246_849,
    "m1-full": 336_135_089,  # 335,462,400 weights from 26 x 21 x 25 voxels of 96 channels to dense7
    "m1-64": 13_255_601,
    "m1-64-l2": 13_255_601,
    "m1-64-dropout": 13_255_601,
    "m1-64-batchnorm": 13_256_433,  # and a scale and a shift a channel
    "m1-64-small": 1_102_601,
    "m1-54-crops": 5_981_105,
}


def paper() -> Config:
    """paper.yaml on top of the default run."""
    return read_config_files([CONFIG / "config.yaml", CONFIG / "paper.yaml"])


def network_of(classifier) -> CancerNetSpec:
    return (
        classifier.network
        if isinstance(classifier, CandidateClassifier)
        else classifier.network_on(classifier.input.shape_zyx)
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_of_an_entry_has_its_number_of_parameters(name):
    with torch.device("meta"):
        assert count_parameters(CancerNet(network_of(paper().classifiers[name]))) == PARAMETERS[name]


def test_every_entry_can_be_built():
    config = paper()
    with torch.device("meta"):
        for detector in config.detectors.values():
            assert count_parameters(UNet(detector.network)) > 0
        for classifier in config.classifiers.values():
            assert isinstance(classifier, BaselineClassifier) or count_parameters(CancerNet(network_of(classifier))) > 0


def changed(settings, part, **values):
    """The settings with other values in one part."""
    return settings.model_copy(update={part: getattr(settings, part).model_copy(update=values)})


def test_the_rows_of_method_1_differ_in_what_they_are_named_for():
    classifiers = paper().classifiers
    base = classifiers["m1-64"]
    assert classifiers["m1-64-l2"] == changed(base, "training", weight_decay=0.002)
    assert classifiers["m1-64-dropout"] == changed(base, "network", dropout=0.5)
    assert classifiers["m1-54-crops"] == changed(base, "input", crop=54)
    assert classifiers["m1-64-batchnorm"] == changed(changed(base, "network", norm="batch"), "training", micro_batch=32)
    assert (base.input.resize_to, base.training.batch) == (64, 64)
    assert classifiers["m1-full"].input.pad_to == (208, 168, 205)
    assert classifiers["m1-full"].training.batch == 3


def test_the_detectors_of_method_2_differ_in_w_p_alone():
    config = paper()
    base = config.detectors["paper"]
    assert (base.loss.positive, base.loss.negative) == (200, 0.5)
    for positive in (500, 100):
        assert config.detectors[f"paper-wp{positive}"] == changed(base, "loss", positive=positive)
        assert config.classifiers[f"m2-wp{positive}"].detector == f"paper-wp{positive}"


def test_the_baselines_are_entries():
    classifiers = paper().classifiers
    assert classifiers["all-negative"].cancer_probability == 0
    assert classifiers["constant-prior"].cancer_probability == "prior"


def test_dropout_stands_between_the_dense_layers():
    torch.manual_seed(0)
    network = CancerNet(
        CancerNetSpec(in_channels=1, shape_zyx=(8, 8, 8), channels=(2,) * 6, dense=64, dropout=0.5)
    ).train()
    seen = []
    for layer in (network.dense7, network.dense8):
        layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    network(torch.rand(1, 1, 8, 8, 8))
    features, given = seen
    dense7 = torch.nn.functional.linear(features, network.dense7.weight, network.dense7.bias).relu()
    kept = given != 0
    torch.testing.assert_close(given[kept], 2 * dense7[kept])
    assert ((dense7 > 0) & ~kept).any()


def test_an_odd_voxel_is_dropped_by_a_pool():
    network = CancerNet(CancerNetSpec(in_channels=1, shape_zyx=(11, 8, 9), channels=(2,) * 6, dense=4))
    assert network(torch.rand(2, 1, 11, 8, 9)).shape == (2,)
    assert network.dense7.in_features == 2
