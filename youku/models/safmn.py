"""SAFMN: quarters of the channels pooled to four sizes make a map that weighs the features; convolutions mix channels.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters: 227,820 / 232,695 / 239,520 (x2 / x3 / x4), the
228 K, 233 K and 240 K of the paper. Pooling grids depend on the picture's size, so the network does not run in tiles;
pictures under 8 px a side are continued by their edge pixels.
Source: Sun, Dong, Tang, Pan 2023, "Spatially-Adaptive Feature Modulation for Efficient Image Super-Resolution", ICCV,
arXiv:2302.13800.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import conv
from youku.models.colours import RGB
from youku.models.smfanet import SMFANet, grid_max
from youku.models.spec import Download, ModelSpec

NUM_LEVELS = 4


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each pixel, with learnt scale and shift."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_channels))
        self.bias = nn.Parameter(torch.zeros(num_channels))

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            last = x.float().movedim(1, -1)  # (N, C, H, W) -> (N, H, W, C)
            return F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6).movedim(-1, 1)


class FeatureModulation(nn.Module):
    """x * GELU(1x1 of the quarters: the first as it is, the others pooled by 2, 4, 8; depthwise conv3; stretched back)."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        part = num_channels // NUM_LEVELS
        self.levels = nn.ModuleList(conv(part, part, 3, groups=part) for _ in range(NUM_LEVELS))
        self.join = conv(num_channels, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        parts = []
        for level, part in enumerate(x.chunk(NUM_LEVELS, dim=1)):
            small = grid_max(part, height >> level, width >> level) if level else part
            parts.append(F.interpolate(self.levels[level](small), (height, width), mode="nearest"))
        return x * F.gelu(self.join(torch.cat(parts, dim=1)))


class Block(nn.Module):
    """Modulation, then conv3 to twice the channels, GELU, 1x1 back; each with a skip and the norm before it."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ChannelNorm(num_channels) for _ in range(2))
        self.modulation = FeatureModulation(num_channels)
        self.mix = nn.Sequential(
            conv(num_channels, 2 * num_channels), nn.GELU(), conv(2 * num_channels, num_channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.modulation(self.norms[0](x))
        return x + self.mix(self.norms[1](x))


class SAFMN(SMFANet):
    """SMFANet's plan with these blocks."""

    def __init__(self, scale: int, num_channels: int = 36, num_blocks: int = 8) -> None:
        super().__init__(scale, num_channels, num_blocks, Block)


SAFMN_36 = ModelSpec(
    name="safmn",
    build=SAFMN,
    colours=RGB,
    halo_px=lambda scale: 0,  # runs untiled
    local=False,
    bf16_safe=False,  # as SMFANet, not measured on real weights
    source="Sun et al. 2023, arXiv:2302.13800",
    download=Download("sunny2109/SAFMN", "Apache-2.0"),
)
SPECS = (SAFMN_36,)
