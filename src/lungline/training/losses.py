"""The paper's two losses, on logits: -log(sigmoid(s)) = softplus(-s), so that nothing overflows."""

from torch import Tensor
from torch.nn.functional import softplus


def cancer_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Eq. 1, mean over patients: L = -y log(sigmoid(s)) - (1 - y) log(1 - sigmoid(s))."""
    return (labels * softplus(-logits) + (1 - labels) * softplus(logits)).mean()


def nodule_loss(logits: Tensor, labels: Tensor, *, positive: float = 200.0, negative: float = 0.5) -> Tensor:
    """Eq. 2, mean over pixels: L = -w_p y log(sigmoid(s)) - w_n (1 - y) log(1 - sigmoid(s))."""
    return (positive * labels * softplus(-logits) + negative * (1 - labels) * softplus(logits)).mean()
