"""Half precision on a CPU: repeatable where that is demanded, and a gradient that points the same way."""

import numpy as np
import pytest
import torch

from lungline.classification.cancer_net import CancerNet
from lungline.config.networks import CancerNetSpec, UNetSpec
from lungline.detection.unet import UNet
from lungline.device import half_precision, make_repeatable
from lungline.training.losses import nodule_loss
from lungline.training.patients import patient_loss

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def repeatable():
    threads = torch.get_num_threads()
    make_repeatable(seed=0)
    yield
    torch.set_deterministic_debug_mode("default")
    torch.set_num_threads(threads)


def gradient(model, loss_of, precision):
    model.zero_grad()
    with half_precision(CPU, precision)[0]:
        loss = loss_of(model)
    loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])


def cancer_net(norm, pool):
    spec = CancerNetSpec(shape_zyx=(8, 8, 8), channels=(4, 4, 6, 6, 8, 8), dense=16, norm=norm, pool=pool)
    cubes = np.random.default_rng(0).random((5, 2, 8, 8, 8)).astype(np.float16)
    return CancerNet(spec).train(), lambda model: patient_loss(model, [(cubes, 1), (cubes[::-1].copy(), 0)], CPU)


def u_net(norm):
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.random((4, 3, 24, 20), dtype=np.float32))
    labels = torch.from_numpy((rng.random((4, 1, 24, 20)) > 0.9).astype(np.float32))
    spec = UNetSpec(slices=3, base_channels=8, levels=3, dropout=0.0, norm=norm)
    return UNet(spec).train(), lambda model: nodule_loss(model(images), labels)


@pytest.mark.parametrize(
    ("build", "parts"),
    [(u_net, ("none",)), (u_net, ("group",)), (cancer_net, ("none", "mean")), (cancer_net, ("group", "noisy_or"))],
)
def test_the_gradient_in_bfloat16_is_that_of_float32_but_for_rounding(build, parts):
    model, loss_of = build(*parts)
    exact, quick, again = (gradient(model, loss_of, kind) for kind in ("float32", "bfloat16", "bfloat16"))
    assert quick.dtype == torch.float32
    assert torch.equal(quick, again)
    assert not torch.equal(quick, exact)
    assert torch.nn.functional.cosine_similarity(exact, quick, dim=0) > 0.98
