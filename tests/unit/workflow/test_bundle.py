"""What a scan goes through, described in one file beside the models."""

import json
import shutil

import pytest
import torch

from lungline.errors import LunglineError
from lungline.storage.weights import write_tensors
from lungline.workflow.bundle import PACKAGED, Bundle, read_bundle, write_bundle
from tests.untrained import untrained_bundle


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A detector of three axes and a classifier, with the bundle manifest that names them."""
    folder = tmp_path_factory.mktemp("models")
    untrained_bundle(folder)
    return folder


@pytest.fixture
def results(tmp_path, models):
    """A result tree with the bundle manifest in a folder of its own."""
    here, bundle = shutil.copytree(models, tmp_path / "results"), read_bundle(models / "bundle.json")
    write_bundle(here / "bundle/s.json", Bundle("s", bundle.settings, here / "classifier", here / "detector"))
    return here


def test_what_is_written_is_read_again(results):
    bundle = read_bundle(results / "bundle/s.json")
    assert (bundle.classifier, bundle.settings) == ("s", read_bundle(results / "bundle.json").settings)
    assert bundle.model.resolve() == (results / "classifier").resolve()
    assert [path.parent.name for path in bundle.weights] == ["x", "y", "z", "classifier"]


def test_the_seed_is_that_of_the_run_that_trained_the_classifier(results):
    bundle = read_bundle(results / "bundle/s.json")
    for card, seed in (({"seed": 7}, 7), ({}, 0)):
        (results / "classifier/card.json").write_text(json.dumps(card))
        assert bundle.seed == seed
    assert read_bundle(PACKAGED).seed == 1


def test_description_and_models_can_be_moved_together(results):
    shutil.move(results, results.with_name("elsewhere"))
    assert len(read_bundle(results.with_name("elsewhere") / "bundle/s.json").weights) == 4


def test_other_weights_than_described_are_refused(results):
    write_tensors(results / "detector/y/weights.safetensors", {"w": torch.zeros(2)}, {})
    with pytest.raises(LunglineError, match="have changed since"):
        read_bundle(results / "bundle/s.json")
    shutil.rmtree(results / "detector/y")
    with pytest.raises(LunglineError, match="are gone"):
        read_bundle(results / "bundle/s.json")


def test_what_is_no_pipeline_is_refused(results, tmp_path):
    with pytest.raises(LunglineError, match=r"no such file\. Call \./run first"):
        read_bundle(tmp_path / "none.json")
    (tmp_path / "other.json").write_text(json.dumps({"classifier": "s"}))
    with pytest.raises(LunglineError, match="expected a value"):
        read_bundle(tmp_path / "other.json")
    with pytest.raises(LunglineError, match="no step of a scan is called blur"):
        Bundle("s", {"blur": {}}, tmp_path)
