"""The 2-D U-Net of Fig. 4 (Ronneberger et al. 2015, with "same" convolutions).

Levels of two 3x3 convolutions with ReLU, dropout between them; 2x2 maximum pooling down, 2x2 transposed
convolution up, skips concatenated, a 1x1 convolution to one logit. With the paper's 64 channels and 5 levels
it has 31,030,593 parameters.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lungline.config.networks import UNetSpec

#: The logit of an untrained network, near log(0.05 / 0.95).
FIRST_LOGIT = -3.0


class LayerRow(NamedTuple):
    """One line of Fig. 4: what a layer gives, and its number of parameters."""

    name: str
    channels: int
    height: int
    width: int
    parameters: int


class UNet(nn.Module):
    """One logit per pixel of a slice."""

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        widths = [spec.base_channels * 2**level for level in range(spec.levels)]
        self.down = nn.ModuleList(  # encoder blocks
            _double_convolution(c_in, c_out, spec)
            for c_in, c_out in zip([spec.slices, *widths[:-1]], widths, strict=True)
        )
        # Decoder: `up` doubles the size, `merge` convolves it together with the skip.
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.merge = nn.ModuleList(_double_convolution(2 * w, w, spec) for w in reversed(widths[:-1]))
        self.logit = nn.Conv2d(widths[0], 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)
        # Nodules are rare. A first probability of 5 % everywhere spares the features from being spent on learning that.
        nn.init.constant_(self.logit.bias, FIRST_LOGIT)  # type: ignore[arg-type]

    def forward(self, slices: Tensor) -> Tensor:
        """Logits (N, 1, H, W) of slices (N, C, H, W) of HU windowed to 0..1, any H and W.

        The slice is zero-padded (air) to the next multiple of 2^(levels - 1), and the output cropped.
        """
        height, width = slices.shape[-2:]
        multiple = 2 ** (self.spec.levels - 1)
        x = F.pad(slices, (0, -width % multiple, 0, -height % multiple))
        skips = []
        for level, convolve in enumerate(self.down):
            x = convolve(x if level == 0 else F.max_pool2d(x, 2))  # (N, base * 2^level, H / 2^level, W / 2^level)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        return self.logit(x)[..., :height, :width]


def _double_convolution(c_in: int, c_out: int, spec: UNetSpec) -> nn.Sequential:
    def norm() -> list[nn.Module]:
        return [nn.GroupNorm(max(1, c_out // 8), c_out)] if spec.norm == "group" else []

    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1),
        *norm(),
        nn.ReLU(inplace=True),
        nn.Dropout(spec.dropout),
        nn.Conv2d(c_out, c_out, 3, padding=1),
        *norm(),
        nn.ReLU(inplace=True),
    )


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def describe(spec: UNetSpec, height: int = 128, width: int = 128) -> list[LayerRow]:
    """The rows of Fig. 4 for an input of `height` x `width`, in the order of computation, as really built."""
    model = UNet(spec).eval()
    rows: list[LayerRow] = []

    def record(name: str, part: nn.Module) -> None:
        def hook(module: nn.Module, _: object, out: Tensor) -> None:
            rows.append(LayerRow(name, out.shape[1], out.shape[2], out.shape[3], count_parameters(module)))

        part.register_forward_hook(hook)

    for level, part in enumerate(model.down):
        record(f"down{level + 1}", part)
    for step, (up, merge) in enumerate(zip(model.up, model.merge, strict=True)):
        record(f"up{spec.levels - 1 - step}", up)
        record(f"merge{spec.levels - 1 - step}", merge)
    record("logit", model.logit)
    with torch.no_grad():
        model(torch.zeros(1, spec.slices, height, width))
    return rows
