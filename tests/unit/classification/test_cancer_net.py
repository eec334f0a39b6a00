"""How the logits of a patient's cubes become one."""

import pytest
import torch

from lungline.classification.cancer_net import CancerNet, noisy_or
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
