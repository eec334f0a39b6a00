"""The 3-D CNN of Table 2, and the patient's score: the maximum over candidates, or another pool of them.

conv1 48, conv2 48, pool, conv3 64, conv4 64, pool, conv5 96, conv6 96, pool, dense7 256, dense8 1; 3x3x3
convolutions with stride 1, "same" padding and ReLU; 2x2x2 maximum pooling. 2,246,849 parameters on 2 x 32^3,
13,255,601 on 1 x 64^3.
"""

from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import softplus

from lungline.classification.hand_crafted import NAMES
from lungline.config.networks import CancerNetSpec


class CancerNet(nn.Module):
    """One logit per cube, or a whole volume."""

    def __init__(self, spec: CancerNetSpec) -> None:
        super().__init__()
        self.spec = spec
        c1, c2, c3, c4, c5, c6 = spec.channels
        voxels = (spec.shape_zyx[0] // 8) * (spec.shape_zyx[1] // 8) * (spec.shape_zyx[2] // 8)
        self.conv1 = nn.Conv3d(spec.in_channels, c1, 3, padding=1)
        self.conv2 = nn.Conv3d(c1, c2, 3, padding=1)
        self.conv3 = nn.Conv3d(c2, c3, 3, padding=1)
        self.conv4 = nn.Conv3d(c3, c4, 3, padding=1)
        self.conv5 = nn.Conv3d(c4, c5, 3, padding=1)
        self.conv6 = nn.Conv3d(c5, c6, 3, padding=1)
        self.norms = nn.ModuleList(_norm(spec.norm, channels) for channels in spec.channels)
        self.dense7 = nn.Linear(c6 * voxels, spec.dense)
        self.dense8 = nn.Linear(spec.dense, 1)
        self.dropout = nn.Dropout(spec.dropout)
        self.hand_crafted_features = HandCraftedFeatures() if spec.hand_crafted_features else None
        self.leak_logit = (
            nn.Parameter(torch.tensor(-2.0)) if spec.pool == "noisy_or" else None
        )  # logit of a leak: a cancer that no cube shows
        for module in self.modules():
            if isinstance(module, nn.Conv3d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.dense8.weight, std=0.1)  # the first scores are near zero, not saturated
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # a third faster on a CPU

    def forward(self, cubes: Tensor) -> Tensor:
        """Logits (N,) of cubes (N, C, D, H, W) with values 0..1.

        They are centred to -1..1 first: around a mean of 0 the first layer learns several times faster.
        """
        norm1, norm2, norm3, norm4, norm5, norm6 = self.norms
        x = 2 * cubes.contiguous(memory_format=torch.channels_last_3d) - 1
        x = norm1(_convolve(self.conv1, x)).relu_()
        x = _halved(norm2(_convolve(self.conv2, x)).relu_(), self.training)  # (N, 48, D/2, H/2, W/2)
        x = norm3(_convolve(self.conv3, x)).relu_()
        x = _halved(norm4(_convolve(self.conv4, x)).relu_(), self.training)  # (N, 64, D/4, H/4, W/4)
        x = norm5(_convolve(self.conv5, x)).relu_()
        x = _halved(norm6(_convolve(self.conv6, x)).relu_(), self.training)  # (N, 96, D/8, H/8, W/8)
        x = self.dense7(x.flatten(1)).relu_()
        return self.dense8(self.dropout(x)).squeeze(1)

    def weighed(self, logits: Tensor, features: NDArray[np.float32] | None) -> Tensor:
        """Logits (n,) together with hand-crafted features (n, 4) of the same candidates, if the network weighs them."""
        if self.hand_crafted_features is None:
            return logits
        assert features is not None
        return self.hand_crafted_features(logits, torch.from_numpy(features).to(logits.device))

    def pooled(self, logits: Tensor) -> Tensor:
        """Pool the logits (n,) of a patient's cubes, n >= 1, into the patient's logit ()."""
        if self.spec.pool == "max":
            return logits.max()
        if self.spec.pool == "mean":
            return logits.mean()
        assert self.leak_logit is not None
        return noisy_or(torch.cat([logits, self.leak_logit.to(logits.dtype)[None]]))


class HandCraftedFeatures(nn.Module):
    """A network's logit s and the hand-crafted features m together: scale * s + weight . m + bias.

    Initially the logit itself; the three are fitted after the network has been trained
    (`lungline.training.calibration.fit_hand_crafted`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("weight", torch.zeros(len(NAMES)))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, logits: Tensor, features: Tensor) -> Tensor:
        """Combined logits (n,), float32, of the network's logits (n,) and features (n, 4) of the same candidates."""
        with torch.autocast(logits.device.type, enabled=False):
            return self.scale * logits.float() + (features * self.weight).sum(dim=1) + self.bias


def noisy_or(logits: Tensor) -> Tensor:
    """Noisy-or: logit () that at least one of independent causes with these logits (n,) is present.

    P = 1 - prod(1 - sigmoid(s_i)) (Pearl 1988; with a leak, as for nodules: Liao et al., IEEE TNNLS 30, 2019,
    3484). With S = sum(softplus(s_i)) = -log(1 - P), its logit is log(e^S - 1) = S + log(1 - e^-S).
    """
    total = softplus(logits).sum()
    return total + torch.log(-torch.expm1(-total))


def _norm(name: str, channels: int) -> nn.Module:
    if name == "batch":
        return nn.BatchNorm3d(channels)
    return nn.GroupNorm(max(1, channels // 8), channels) if name == "group" else nn.Identity()


def _convolve(convolution: nn.Conv3d, x: Tensor) -> Tensor:
    """The convolution, in float32 where the volume is two voxels deep.

    There PyTorch 2.13 (oneDNN 3.12) on a CPU leaves parts of a gradient in bfloat16 unwritten, as memory was before.
    """
    if x.shape[2] != 2 or x.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return convolution(x)
    with torch.autocast("cpu", enabled=False):
        return convolution(x.float())


def _halved(x: Tensor, training: bool) -> Tensor:
    """2x2x2 maximum pooling (N, C, D, H, W); an odd last voxel is dropped.

    Its gradient is deterministic on a GPU too, and in training that of `amax` over blocks, to the byte; `amax` itself
    takes about twice the time on a CPU, ten times without a gradient. Without training: plain operations, which can be
    exported.
    """
    halved: Tensor = _Halving.apply(x) if training and x.requires_grad else _largest_of_blocks(x)
    return halved


def _largest_of_blocks(x: Tensor) -> Tensor:
    d, h, w = (size // 2 * 2 for size in x.shape[2:])
    x = torch.maximum(x[:, :, 0:d:2], x[:, :, 1:d:2])
    x = torch.maximum(x[:, :, :, 0:h:2], x[:, :, :, 1:h:2])
    return torch.maximum(x[..., 0:w:2], x[..., 1:w:2])


class _Halving(torch.autograd.Function):
    """`_largest_of_blocks`, whose gradient is shared equally by all voxels of a block that hold its maximum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        halved = _largest_of_blocks(x)
        ctx.save_for_backward(x, halved)
        return halved

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, halved = ctx.saved_tensors
        d, h, w = halved.shape[2:]
        corners = [
            (..., slice(z, 2 * d, 2), slice(y, 2 * h, 2), slice(x, 2 * w, 2)) for z, y, x in product((0, 1), repeat=3)
        ]
        winners = [x[corner] == halved for corner in corners]
        share = gradients[0] / torch.stack(winners).sum(dim=0)
        gradient = torch.zeros_like(x)
        for corner, winner in zip(corners, winners, strict=True):
            torch.mul(share, winner, out=gradient[corner])
        return gradient
