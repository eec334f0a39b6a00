"""What a scan goes through, described in one file beside the models."""

import json
import shutil

import pytest
import torch

from lungline.errors import LunglineError
from lungline.storage.weights import write_tensors
from lungline.workflow.bundle import Bundle, read_bundle, write_bundle

SETTINGS = {"resample": {"spacing_mm": 1.0}, "crop_patches": {"count": 20, "size": 32}}


@pytest.fixture
def results(tmp_path):
    """A result tree with a detector of three axes and a classifier."""
    for number, part in enumerate(("unet/d/z", "unet/d/y", "unet/d/x", "classifier/s")):
        write_tensors(tmp_path / "results" / part / "weights.safetensors", {"w": torch.ones(number + 1)}, {})
    here = tmp_path / "results"
    write_bundle(here / "bundle/s.json", Bundle("s", SETTINGS, here / "classifier/s", here / "unet/d"))
    return here


def test_what_is_written_is_read_again(results):
    bundle = read_bundle(results / "bundle/s.json")
    assert (bundle.classifier, dict(bundle.settings)) == ("s", SETTINGS)
    assert bundle.model.resolve() == (results / "classifier/s").resolve()
    assert [path.parent.name for path in bundle.weights] == ["x", "y", "z", "s"]


def test_description_and_models_can_be_moved_together(results):
    shutil.move(results, results.with_name("elsewhere"))
    assert len(read_bundle(results.with_name("elsewhere") / "bundle/s.json").weights) == 4


def test_other_weights_than_described_are_refused(results):
    write_tensors(results / "unet/d/y/weights.safetensors", {"w": torch.zeros(2)}, {})
    with pytest.raises(LunglineError, match="have changed since"):
        read_bundle(results / "bundle/s.json")
    shutil.rmtree(results / "unet/d/y")
    with pytest.raises(LunglineError, match="are gone"):
        read_bundle(results / "bundle/s.json")


def test_what_is_no_pipeline_is_refused(results, tmp_path):
    with pytest.raises(LunglineError, match=r"no such file\. Call \./run first"):
        read_bundle(tmp_path / "none.json")
    (tmp_path / "other.json").write_text(json.dumps({"classifier": "s"}))
    with pytest.raises(LunglineError, match="not a bundle manifest of lungline"):
        read_bundle(tmp_path / "other.json")
    with pytest.raises(LunglineError, match="no step of a scan is called blur"):
        Bundle("s", {"blur": {}}, tmp_path)
