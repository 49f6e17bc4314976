"""FSRCNN and ESPCN: convolutions at low resolution, enlarged by the last layer alone.

- FSRCNN(d=56, s=12, m=4): luma (N, 1, H, W) -> (N, 1, s H, s W) through thin convolutions and one 9x9 deconvolution.
  Parameters are the same for every scale: 12,464 weights + 173 biases + 172 PReLU slopes = 12,809. Source: Dong, Loy,
  Tang 2016, "Accelerating the Super-Resolution Convolutional Neural Network".
- ESPCN: (N, C, H, W) -> (N, C, s H, s W) in [0, 1] through three convolutions, the last to scale^2 channels, and one
  pixel shuffle. Learnable parameters x2 / x3 / x4: luma 21,284 / 22,729 / 24,752, RGB 26,796 / 31,131 / 37,200.
  Source: Shi et al. 2016, arXiv:1609.05158.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, PixelShuffle, conv, conv_prelu, pixel_shuffle, repeated, start
from youku.models.colours import RGB, Y
from youku.models.spec import ModelSpec


class FSRCNN(nn.Module):
    """Feature extraction, shrinking, mapping, expanding, deconvolution; PReLU after every convolution but the last."""

    def __init__(self, scale: int, num_features: int = 56, num_shrunk: int = 12, num_mapping: int = 4) -> None:
        super().__init__()
        self.first = nn.Sequential(*conv_prelu(1, num_features, 5))
        self.middle = nn.Sequential(
            *conv_prelu(num_features, num_shrunk, 1),
            *repeated(num_mapping, lambda: conv_prelu(num_shrunk, num_shrunk)),
            *conv_prelu(num_shrunk, num_features, 1),
        )
        self.last = Deconvolution(num_features, scale)
        start(self, _draw)  # the paper's: convolutions MSRA over fan-out, deconvolution N(0, 0.001), biases 0
        nn.init.normal_(self.last.weight, 0.0, 0.001)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)))


def _draw(weight: Tensor) -> None:
    nn.init.normal_(weight, 0.0, math.sqrt(2 / (weight.shape[0] * weight.shape[2] * weight.shape[3])))


class Deconvolution(nn.Module):
    """9x9 transposed convolution to one channel, stride = scale, padding 4, output padding scale - 1.

    Computed as its exact rearrangement, one small convolution to scale^2 channels and a pixel shuffle: the same sums
    without the zeros, several times faster on a CPU than `conv_transpose2d` (benchmarks/deconvolution.py). Weights keep
    the transposed layout (C, 1, 9, 9), so that published checkpoints load and only the stride differs between scales.
    Runs in float32 under autocast, because its output spans the image range.
    """

    KERNEL_PX = 9

    def __init__(self, num_channels: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.empty(num_channels, 1, self.KERNEL_PX, self.KERNEL_PX))
        self.bias = nn.Parameter(torch.empty(1))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            kernel, margin_px = self._phases()
            out = F.conv2d(x.to(kernel.dtype), kernel, padding=margin_px)
            return pixel_shuffle(out, self.scale) + self.bias

    def _phases(self) -> tuple[Tensor, int]:
        """Kernel (scale^2, C, k, k) of the equal convolution, and its padding.

        Output row s * c + p takes kernel row p + 4 - s * j of input row c + j, for every j that keeps it inside 0..8.
        """
        scale, center = self.scale, self.KERNEL_PX // 2
        margin_px = -(-center // scale)
        taps = 2 * margin_px + 1
        before = scale * margin_px - center
        after = scale * taps - before - self.KERNEL_PX
        padded = F.pad(self.weight[:, 0], [before, after, before, after])  # (C, s k, s k)
        phase = torch.arange(scale, device=padded.device)[:, None]
        offset = torch.arange(-margin_px, margin_px + 1, device=padded.device)[None, :]
        rows = (phase + center - scale * offset + before).flatten()  # (s k): phase-major
        picked = padded[:, rows][:, :, rows].unflatten(2, (scale, taps)).unflatten(1, (scale, taps))  # (C, s, k, s, k)
        return picked.permute(1, 3, 0, 2, 4).flatten(0, 1), margin_px


FSRCNN_56 = ModelSpec(
    name="fsrcnn",
    build=FSRCNN,
    colours=Y,
    halo_px=lambda scale: 2 + 4 + -(-4 // scale),  # conv5, four conv3, deconv9 at stride `scale`
    source="Dong et al. 2016, arXiv:1608.00367",
)
FSRCNN_SPECS = (
    FSRCNN_56,
    replace(
        FSRCNN_56,
        name="fsrcnn-s",
        build=lambda scale: FSRCNN(scale, num_features=32, num_shrunk=5, num_mapping=1),
        halo_px=lambda scale: 2 + 1 + -(-4 // scale),
    ),
)


class ESPCN(nn.Module):
    """conv5 + tanh, conv3 + tanh, conv3, pixel shuffle."""

    def __init__(self, scale: int, num_planes: int = 1) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(num_planes, 64, 5), nn.Tanh())
        self.body = nn.Sequential(conv(64, 32, 3), nn.Tanh())
        self.upscale = nn.Sequential(FullPrecision(conv(32, num_planes * scale * scale, 3)), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.upscale(self.body(self.head(x)))


ESPCN_Y = ModelSpec(
    name="espcn", build=ESPCN, colours=Y, halo_px=lambda scale: 2 + 1 + 1, source="Shi et al. 2016, arXiv:1609.05158"
)
ESPCN_SPECS = (ESPCN_Y, replace(ESPCN_Y, name="espcn-rgb", build=lambda scale: ESPCN(scale, num_planes=3), colours=RGB))
SPECS = (*FSRCNN_SPECS, *ESPCN_SPECS)
