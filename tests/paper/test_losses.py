"""Eq. 1 and Eq. 2 against the literal formulas, also where sigmoid saturates."""

import math

import pytest
import torch
from mpmath import mp, mpf

from lungline.training.losses import cancer_loss, nodule_loss

mp.dps = 80


def sigmoid(s: float) -> mpf:
    return 1 / (1 + mp.exp(-mpf(s)))


@pytest.mark.parametrize("s", [-100.0, -30.0, -1.5, 0.0, 0.3, 20.0, 100.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_eq_1_is_the_literal_formula(s, y):
    literal = -y * mp.log(sigmoid(s)) - (1 - y) * mp.log(1 - sigmoid(s))
    found = cancer_loss(torch.tensor([s], dtype=torch.float64), torch.tensor([y], dtype=torch.float64))
    assert float(found) == pytest.approx(float(literal), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("s", [-100.0, -2.0, 0.0, 7.0, 100.0])
@pytest.mark.parametrize("y", [0.0, 1.0])
def test_eq_2_is_the_literal_formula(s, y):
    literal = -200 * y * mp.log(sigmoid(s)) - mpf("0.5") * (1 - y) * mp.log(1 - sigmoid(s))
    logits, labels = (torch.full((1, 1, 1, 1), v, dtype=torch.float64) for v in (s, y))
    assert float(nodule_loss(logits, labels)) == pytest.approx(float(literal), rel=1e-6, abs=1e-12)


def test_the_gradient_is_finite_where_sigmoid_saturates():
    logits = torch.tensor([-100.0, 100.0], requires_grad=True)
    cancer_loss(logits, torch.tensor([1.0, 0.0])).backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == pytest.approx([-0.5, 0.5])


def test_the_loss_is_a_mean():
    logits, labels = torch.zeros(4), torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert float(cancer_loss(logits, labels)) == pytest.approx(math.log(2))
