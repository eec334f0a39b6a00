"""How the logits of a patient's cubes become one."""

import pytest
import torch

from lungline.classification.cancer_net import CancerNet, _halved, noisy_or
from lungline.config.networks import CancerNetSpec

LOGITS = torch.tensor([-1.0, 2.0, 0.5])


def network(pool):
    return CancerNet(CancerNetSpec(shape_zyx=(8, 8, 8), channels=(2,) * 6, dense=4, pool=pool))


def test_noisy_or_is_the_probability_of_at_least_one():
    p = 1 - torch.prod(1 - torch.sigmoid(LOGITS.double()))
    assert float(torch.sigmoid(noisy_or(LOGITS.double()))) == pytest.approx(float(p), rel=1e-12)


@pytest.mark.parametrize("logit", [-100.0, -20.0, 20.0, 100.0, 1000.0])
def test_noisy_or_of_one_cause_is_that_cause_however_sure(logit):
    one = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    answer = noisy_or(one)
    answer.backward()
    assert float(answer.detach()) == pytest.approx(logit, rel=1e-9)
    assert float(one.grad) == pytest.approx(1.0)


def test_each_pool_is_what_its_name_says():
    assert float(network("max").pooled(LOGITS)) == 2.0
    assert float(network("mean").pooled(LOGITS)) == pytest.approx(0.5)
    leaky = network("noisy_or")
    both = torch.cat([LOGITS, leaky.leak_logit.detach()[None]])
    assert float(leaky.pooled(LOGITS).detach()) == pytest.approx(float(noisy_or(both)))
    assert sum(p.numel() for p in leaky.parameters()) == 1 + sum(p.numel() for p in network("max").parameters())


def test_an_unknown_pool_is_refused():
    with pytest.raises(ValueError, match="'max', 'mean' or 'noisy_or'"):
        CancerNetSpec(pool="median")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("training", [True, False])
def test_the_pool_is_the_maximum_of_each_block_and_shares_its_gradient_as_amax_does(dtype, training):
    # a few whole numbers, so that most blocks have several maxima; odd edges, which are dropped
    x = torch.randint(0, 4, (2, 3, 9, 6, 5), generator=torch.Generator().manual_seed(0)).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last_3d)
    weights = torch.randn((2, 3, 4, 3, 2), generator=torch.Generator().manual_seed(1)).to(dtype)
    ours, literal = x.clone().requires_grad_(), x.clone().requires_grad_()
    pooled = _halved(ours, training)
    wanted = literal[..., :8, :6, :4].reshape(2, 3, 4, 2, 3, 2, 2, 2).amax(dim=(3, 5, 7))
    assert torch.equal(pooled, wanted)
    (pooled * weights).sum().backward()
    (wanted * weights).sum().backward()
    assert not training or torch.equal(ours.grad, literal.grad)
    torch.testing.assert_close(_blocks(ours.grad), _blocks(literal.grad), rtol=0.01, atol=0.01)
    assert not ours.grad[:, :, 8].any()
    assert not ours.grad[..., 4].any()


def _blocks(gradient: torch.Tensor) -> torch.Tensor:
    """What each block got in all."""
    return gradient[..., :8, :6, :4].reshape(2, 3, 4, 2, 3, 2, 2, 2).float().sum(dim=(3, 5, 7))
