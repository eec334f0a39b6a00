"""What can be measured of the nodule in a candidate's cube, and how it is weighed with the network's logit.

Size and density are what readers judge a nodule by, and calcification is a sign of a benign one (MacMahon et al.,
Radiology 284, 2017, 228). A few hundred nodules teach a network to see much, but hardly to count.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NAMES = ("log volume in voxels", "mean HU, scaled", "spread of HU, scaled", "root of the calcified share")
#: Scaled HU of a calcified voxel: 340 HU, as in `lungline.nodules.measurements`.
CALCIFIED = 1340 / 1400
_OUTLINED = 0.5  # nodule probability of a voxel that is measured
_MIDDLE = 3.5  # voxels; what is outlined this near the middle of the cube belongs to its candidate


def measure(cubes: Tensor) -> Tensor:
    """The four numbers `NAMES` of every cube, (N, 4) float32; without a gradient.

    Measured is what hangs together with the outlined voxels around the middle of the cube; where none is outlined
    there, these few voxels themselves. No number depends on how the cube is turned.

    Parameters
    ----------
    cubes : (N, 2, D, H, W) float
        Scaled HU 0..1 and nodule probability 0..1.
    """
    with torch.no_grad():
        hu, probability = cubes[:, 0].double(), cubes[:, 1]
        middle = _around_the_middle(probability)
        outlined = probability >= _OUTLINED
        nodule = _spread(outlined & middle, outlined)
        nodule |= middle & ~nodule.any(dim=(1, 2, 3), keepdim=True)
        calcified = hu >= CALCIFIED
        volume = _sum(nodule)
        mean = _sum(hu * nodule) / volume
        spread = (_sum((hu - mean[:, None, None, None]).square() * nodule) / volume).sqrt()
        share = _sum(calcified & nodule) / volume
        return torch.stack([volume.log(), mean, spread, share.sqrt()], dim=1).float()


class Measured(nn.Module):
    """A network's logit s and the four measured numbers m together: scale * s + weight . m + bias.

    The logit as it is until the three are fitted, once the network has been trained
    (`lungline.training.hand_crafted_fit`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.scale: Tensor
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("weight", torch.zeros(len(NAMES)))
        self.register_buffer("bias", torch.zeros(()))

    def forward(self, logits: Tensor, cubes: Tensor) -> Tensor:
        """(N,) float32 of the network's logits (N,) of cubes (N, 2, D, H, W)."""
        with torch.autocast(cubes.device.type, enabled=False):
            return self.scale * logits.float() + (measure(cubes) * self.weight).sum(dim=1) + self.bias


def _around_the_middle(volumes: Tensor) -> Tensor:
    """(D, H, W) bool: the voxels within `_MIDDLE` of the middle of volumes (N, D, H, W)."""
    axes = [torch.arange(n, device=volumes.device) - (n - 1) / 2 for n in volumes.shape[1:]]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return z.square() + y.square() + x.square() <= _MIDDLE**2


def _spread(seeds: Tensor, within: Tensor) -> Tensor:
    """What of `within` hangs together with `seeds` by faces; both (N, D, H, W) bool."""
    reached = seeds
    while True:
        wider = reached.clone()
        for axis in (1, 2, 3):
            n = reached.shape[axis]
            wider.narrow(axis, 1, n - 1).logical_or_(reached.narrow(axis, 0, n - 1))
            wider.narrow(axis, 0, n - 1).logical_or_(reached.narrow(axis, 1, n - 1))
        wider &= within
        if torch.equal(wider, reached):
            return reached
        reached = wider


def _sum(values: Tensor) -> Tensor:
    return values.double().sum(dim=(1, 2, 3))
