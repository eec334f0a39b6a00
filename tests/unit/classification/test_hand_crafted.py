"""What is measured of the nodule in a cube, and the logit that follows from it."""

import math

import numpy as np
import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.classification.hand_crafted import CALCIFIED, measure
from lungline.config.networks import CancerNetSpec
from lungline.imaging.intensity import scale_hu
from lungline.nodules.measurements import CALCIFIED_HU
from lungline.training.patients import SYMMETRIES, turned

SIZE = 16


def ball(centre, radius):
    z, y, x = np.indices((SIZE,) * 3)
    return sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)) <= radius**2


def cube(outlined, hu):
    """(1, 2, D, H, W) of one outline, and HU everywhere."""
    return torch.from_numpy(np.stack([scale_hu(hu), outlined * 0.9])[None].astype(np.float32))


@pytest.fixture
def nodule():
    """A nodule of 30 HU with a calcified core, lung around it, and a vessel that is outlined too but lies apart."""
    own, core, apart = ball((7, 8, 7), 4), ball((7, 8, 7), 1), ball((1, 1, 1), 1)
    hu = np.where(own | apart, 30.0, -850.0)
    hu[core] = CALCIFIED_HU + 20
    return own, core, cube(own | apart, hu)


def test_what_is_measured_is_what_was_drawn(nodule):
    own, core, seen = nodule
    share = core.sum() / own.sum()
    scaled = scale_hu(np.array([30.0, CALCIFIED_HU + 20])).astype(float)
    mean = (1 - share) * scaled[0] + share * scaled[1]
    spread = math.sqrt(share * (1 - share)) * (scaled[1] - scaled[0])
    assert measure(seen)[0].tolist() == pytest.approx([math.log(own.sum()), mean, spread, math.sqrt(share)], rel=1e-5)


def test_calcified_is_what_the_nodule_table_calls_so():
    assert float(scale_hu(np.array(CALCIFIED_HU))) == pytest.approx(CALCIFIED)


def test_it_is_the_same_however_the_cube_is_turned(nodule):
    _, _, seen = nodule
    found = [measure(torch.from_numpy(turned(seen.numpy(), *symmetry)))[0].tolist() for symmetry in SYMMETRIES]
    assert all(one == pytest.approx(found[0], rel=1e-6) for one in found)


def test_every_cube_is_measured_by_itself(nodule):
    _, _, seen = nodule
    other = cube(ball((8, 8, 8), 2), np.full((SIZE,) * 3, -100.0))
    assert torch.equal(measure(torch.cat([seen, other])), torch.cat([measure(seen), measure(other)]))


def test_without_an_outline_the_middle_of_the_cube_is_measured():
    seen = cube(ball((1, 1, 1), 2), np.full((SIZE,) * 3, -300.0))
    log_volume, mean, spread, calcified = measure(seen)[0].tolist()
    assert 100 < math.exp(log_volume) < 300
    assert (mean, spread, calcified) == pytest.approx((0.5, 0, 0), abs=1e-6)


def test_the_logit_is_weighed_with_what_is_measured(nodule):
    _, _, seen = nodule
    spec = {"shape_zyx": (SIZE,) * 3, "channels": (2,) * 6, "dense": 4}
    torch.manual_seed(0)
    plain = CancerNet(CancerNetSpec(**spec)).eval()
    torch.manual_seed(0)
    network = CancerNet(CancerNetSpec(**spec, measured=True)).eval()
    assert network.measured is not None
    with torch.inference_mode():
        assert torch.equal(network(seen), plain(seen))  # nothing is fitted yet
        network.measured.scale.fill_(2.0)
        network.measured.weight.copy_(torch.tensor([1.0, -2.0, 3.0, -4.0]))
        network.measured.bias.fill_(0.5)
        wanted = 2 * float(plain(seen)) + float(measure(seen)[0] @ network.measured.weight) + 0.5
        assert float(network(seen)) == pytest.approx(wanted, rel=1e-5)


def test_a_volume_without_nodule_probability_cannot_be_measured():
    with pytest.raises(ValueError, match="measured needs 2"):
        CancerNetSpec(in_channels=1, measured=True)
