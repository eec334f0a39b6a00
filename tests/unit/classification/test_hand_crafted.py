"""The features of a candidate are its measurements, and the logit that follows from both."""

import math

import numpy as np
import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import features
from lungline.config.networks import CancerNetSpec
from lungline.imaging import geometry
from lungline.imaging.volume import Volume
from lungline.nodules.measurements import CALCIFIED_HU, measure
from lungline.storage import hdf5
from lungline.storage.hdf5 import Field, Header
from lungline.training.patients import read_features

SIZE = 16


def test_features_are_the_measurements_of_the_same_voxels(tmp_path):
    z, y, x = np.indices((SIZE,) * 3)
    ball = (z - 7) ** 2 + (y - 8) ** 2 + (x - 7) ** 2 <= 16
    hu = np.where(ball, 30, -850)
    hu[6:9, 7:10, 6:9] = CALCIFIED_HU + 20
    found = measure(Volume(hu, geometry.make_affine((1, 1, 1))), ball)
    row = [found.volume_mm3, found.long_axis_mm, found.mean_hu, found.sd_hu, found.calcified_share, found.solid_share]
    field = Field(np.array([row, row]), "candidate,measurement", "1", "")
    hdf5.write_file(tmp_path / "p.h5", Header("patches", "crop_patches"), {"measurements": field})
    (read,) = read_features(tmp_path / "p.h5", 1)
    inside = hu[ball].astype(float)
    wanted = [math.log(ball.sum()), (inside.mean() + 1000) / 1400, inside.std() / 1400, math.sqrt(27 / ball.sum())]
    assert read.tolist() == pytest.approx(wanted, rel=1e-6)
    assert read.dtype == np.float32


def test_no_candidate_has_no_features():
    assert features([], [], [], []).shape == (0, 4)


def test_the_logit_is_weighed_with_the_features():
    spec = {"shape_zyx": (SIZE,) * 3, "channels": (2,) * 6, "dense": 4}
    plain, network = CancerNet(CancerNetSpec(**spec)), CancerNet(CancerNetSpec(**spec, hand_crafted_features=True))
    assert network.hand_crafted_features is not None
    logits, own = torch.tensor([0.5, -1.0]), features([100.0, 8.0], [30.0, -600.0], [50.0, 90.0], [0.0, 0.25])
    assert torch.equal(plain.weighed(logits, None), logits)
    assert torch.equal(network.weighed(logits, own), logits)  # nothing is fitted yet
    network.hand_crafted_features.scale.fill_(2.0)
    network.hand_crafted_features.weight.copy_(torch.tensor([1.0, -2.0, 3.0, -4.0]))
    network.hand_crafted_features.bias.fill_(0.5)
    wanted = 2 * logits.numpy() + own @ [1.0, -2.0, 3.0, -4.0] + 0.5
    assert network.weighed(logits, own).tolist() == pytest.approx(wanted.tolist(), rel=1e-5)


def test_a_volume_without_nodule_probability_cannot_be_measured():
    with pytest.raises(ValueError, match="hand_crafted_features needs 2"):
        CancerNetSpec(in_channels=1, hand_crafted_features=True)
