"""Many scans in one process give the bytes that one process per scan gives."""

import numpy as np
import pytest
import torch

from lungline.config.networks import UNetSpec
from lungline.detection.unet import UNet
from lungline.errors import LunglineError
from lungline.imaging import geometry
from lungline.stages.detect import run
from lungline.storage import checksums, hdf5
from lungline.storage.hdf5 import Field, Flag, Header
from lungline.storage.weights import read_card, write_card, write_tensors

MADE_BY = {"region": "lung_box", "outside_hu": -1000.0}


@pytest.fixture
def folder(tmp_path):
    """A detector with untrained weights, two scans and a quarantined one."""
    network = {"base_channels": 2, "levels": 2, "norm": "group"}
    for number, axis in enumerate("zyx"):
        torch.manual_seed(number)
        weights = tmp_path / "detector" / axis / "weights.safetensors"
        write_tensors(weights, UNet(UNetSpec(**network)).state_dict(), {"purpose": "test"})
        card = {"network": network, "weights_sha256": checksums.sha256(weights), "cache": MADE_BY}
        write_card(weights.with_name("card.json"), card)
    rng = np.random.default_rng(0)
    for scan in ("a", "b"):
        ct = Field(
            rng.integers(-1000, 400, (9, 14, 11)).astype(np.int16), "zyx", "HU", "", geometry.make_affine((1, 1, 1))
        )
        hdf5.write_file(tmp_path / "c" / f"{scan}.h5", Header("ct", "cache_volume", parameters=MADE_BY), {"ct": ct})
    hdf5.write_file(tmp_path / "c" / "q.h5", Header("ct", "cache_volume", (Flag("Q_LIMIT"),), MADE_BY), {})
    return tmp_path


def detect_scan(cache, output, **options):
    """One scan by a call of its own."""
    run(cache.parent, output.parent, scans=[cache.stem], precision="float32", device="cpu", **options)


def test_many_scans_in_one_process_give_the_same_bytes(folder):
    scans = ["a", "q", "b"]
    run(folder / "c", folder / "many", scans=scans, detector=folder / "detector", precision="float32", device="cpu")
    for scan in scans:
        name = f"{scan}.h5"
        detect_scan(folder / "c" / name, folder / "one" / name, detector=folder / "detector")
        assert (folder / "many" / name).read_bytes() == (folder / "one" / name).read_bytes()
    assert hdf5.read_header(folder / "many" / "q.h5").status == "quarantined"


def test_the_mean_is_the_mean_of_the_three_axes(folder):
    detect_scan(folder / "c" / "a.h5", folder / "a.h5", detector=folder / "detector", keep_axes=True)
    axes = [hdf5.read_array(folder / "a.h5", f"probability_{axis}").astype(np.float64) for axis in "zyx"]
    mean = hdf5.read_array(folder / "a.h5", "probability")
    assert mean.dtype == np.float16
    np.testing.assert_allclose(mean, np.mean(axes, axis=0), atol=1e-3)
    assert not np.allclose(axes[0], axes[1], atol=1e-3)


def test_a_cache_made_another_way_is_refused(folder):
    ct = Field(np.zeros((4, 4, 4), np.int16), "zyx", "HU", "", geometry.make_affine((1, 1, 1)))
    whole = Header("ct", "cache_volume", parameters={**MADE_BY, "region": "whole"})
    hdf5.write_file(folder / "c" / "w.h5", whole, {"ct": ct})
    with pytest.raises(LunglineError, match="cache_volume"):
        detect_scan(folder / "c" / "w.h5", folder / "w.h5", detector=folder / "detector")


def test_a_copy_of_a_training_case_of_one_axis_carries_a_warning(folder):
    for axis in "zyx":
        card = folder / "detector" / axis / "card.json"
        cases = {"train": {"t": "same"}} if axis == "y" else {}
        write_card(card, {**read_card(card), "case_hu_sha256": cases})
    ct = hdf5.read_field(folder / "c" / "a.h5", "ct")
    for pixels in ("same", "other"):
        header = Header("ct", "cache_volume", parameters=MADE_BY, provenance={"hu_sha256": pixels})
        hdf5.write_file(folder / "c" / f"{pixels}.h5", header, {"ct": ct})
        detect_scan(folder / "c" / f"{pixels}.h5", folder / f"{pixels}.h5", detector=folder / "detector")
    assert [flag.flag for flag in hdf5.read_header(folder / "same.h5").flags] == ["W_TRAINING_CASE"]
    assert hdf5.read_header(folder / "other.h5").status == "ok"


def test_a_scan_made_unlike_those_of_the_training_carries_a_warning_that_says_how(folder):
    card = folder / "detector" / "z" / "card.json"
    made = {"slice_mm": [1.0, 2.5], "pixel_mm": [0.6, 0.9], "noise_hu": [15.0, 25.0]}
    write_card(card, {**read_card(card), "acquisition": made})
    ct = hdf5.read_field(folder / "c" / "a.h5", "ct")
    for name, slice_mm in (("thick", 5.0), ("like", 2.0)):
        how = {"slice_mm": slice_mm, "pixel_mm": 0.7, "noise_hu": 20.0}
        header = Header("ct", "cache_volume", parameters=MADE_BY, provenance={"acquisition": how})
        hdf5.write_file(folder / "c" / f"{name}.h5", header, {"ct": ct})
        detect_scan(folder / "c" / f"{name}.h5", folder / f"{name}.h5", detector=folder / "detector")
    (flag,) = hdf5.read_header(folder / "thick.h5").flags
    assert flag.flag == "W_UNLIKE_TRAINING"
    assert flag.detail == "slices are 5 mm apart, in the training 1 to 2.5"
    assert hdf5.read_header(folder / "like.h5").status == "ok"
    assert hdf5.read_header(folder / "like.h5").provenance["acquisition"]["slice_mm"] == 2.0
