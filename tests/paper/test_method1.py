"""Every row of the paper's tables is an entry of the configuration, and its network is of the size it should be."""

from pathlib import Path

import pytest
import torch
import yaml

from lungline.classification.cancer_net import CancerNet
from lungline.config.check import check_config, laid_over
from lungline.config.entries import ConstantSystem, DetectorSpec, PatchSystem, read_system
from lungline.config.networks import CancerNetSpec
from lungline.detection.unet import UNet, count_parameters

CONFIG = Path(__file__).resolve().parents[2] / "config"
SCHEMA = yaml.safe_load((CONFIG / "schema.yaml").read_text(encoding="utf-8"))

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


def paper() -> dict:
    """config.yaml with paper.yaml on top, every `extends` carried out."""
    default, above = (
        yaml.safe_load((CONFIG / name).read_text(encoding="utf-8")) for name in ("config.yaml", "paper.yaml")
    )
    return check_config(laid_over(default, above), SCHEMA)


def network_of(entry: dict) -> CancerNetSpec:
    spec = read_system(entry)
    if isinstance(spec, PatchSystem):
        return spec.network
    return spec.network_on(spec.input.shape_zyx)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_of_an_entry_has_its_number_of_parameters(name):
    with torch.device("meta"):
        assert count_parameters(CancerNet(network_of(paper()["systems"][name]))) == PARAMETERS[name]


def test_every_entry_can_be_built():
    config = paper()
    with torch.device("meta"):
        for entry in config["detectors"].values():
            assert count_parameters(UNet(DetectorSpec.from_config(entry).network)) > 0
        for entry in config["systems"].values():
            spec = read_system(entry)
            assert isinstance(spec, ConstantSystem) or count_parameters(CancerNet(network_of(entry))) > 0


def test_the_rows_of_method_1_differ_in_what_they_are_named_for():
    systems = paper()["systems"]
    base = systems["m1-64"]
    for name, part, key, value in (
        ("m1-64-l2", "training", "weight_decay", 0.002),
        ("m1-64-dropout", "network", "dropout", 0.5),
        ("m1-54-crops", "input", "crop", 54),
    ):
        assert systems[name] == {**base, part: {**base[part], key: value}}
    batchnorm = systems["m1-64-batchnorm"]
    assert batchnorm == laid_over(base, {"network": {"norm": "batch"}, "training": {"micro_batch": 32}})
    assert (base["input"], base["training"]["batch"]) == ({"resize_to": 64}, 64)
    assert systems["m1-full"]["input"] == {"pad_to": [208, 168, 205]}
    assert systems["m1-full"]["training"]["batch"] == 3


def test_the_detectors_of_method_2_differ_in_w_p_alone():
    detectors = paper()["detectors"]
    base = detectors["paper"]
    assert base["loss"] == {"positive": 200, "negative": 0.5}
    for positive in (500, 100):
        assert detectors[f"paper-wp{positive}"] == {**base, "loss": {"positive": positive, "negative": 0.5}}
        assert paper()["systems"][f"m2-wp{positive}"]["detector"] == f"paper-wp{positive}"


def test_the_baselines_are_entries():
    systems = paper()["systems"]
    assert read_system(systems["all-negative"]).probability == 0
    assert read_system(systems["constant-prior"]).probability == "prior"


def test_dropout_stands_between_the_dense_layers():
    torch.manual_seed(0)
    network = CancerNet(CancerNetSpec(1, (8, 8, 8), (2, 2, 2, 2, 2, 2), dense=64, dropout=0.5)).train()
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
    network = CancerNet(CancerNetSpec(1, (11, 8, 9), (2, 2, 2, 2, 2, 2), dense=4))
    assert network(torch.rand(2, 1, 11, 8, 9)).shape == (2,)
    assert network.dense7.in_features == 2
