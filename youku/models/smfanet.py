"""SMFANet, SMFANet+ and SAFMN before them: blocks that weigh features by a map of the whole picture; one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. What weighs pools over a grid of the picture, so they do not run in
tiles; pictures under 8 px a side are continued by their edge pixels.

- SMFANet, SMFANet+: a gate of the whole picture beside a local branch, and partial convolutions. Learnable parameters at x4:
  197,328 and 495,888. Deviation: norm and variance in float32 under autocast, where 1e-12 would be 0. Source: Zheng et al.
  2024, "SMFANet: A Lightweight Self-Modulation Feature Aggregation Network for Efficient Image Super-Resolution", ECCV 2024;
  Zheng-MJ/SMFANet, Apache-2.0.
- SAFMN: quarters of the channels pooled to four sizes make the map; convolutions mix channels. 227,820 / 232,695 / 239,520
  (x2 / x3 / x4), the 228 K, 233 K and 240 K of the paper. Source: Sun, Dong, Tang, Pan 2023, "Spatially-Adaptive Feature
  Modulation for Efficient Image Super-Resolution", ICCV, arXiv:2302.13800.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, PixelShuffle, at_least, conv
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

POOL_PX = 8  # side of a cell of the grid, about
NUM_LEVELS = 4  # of SAFMN


def grid_max(x: Tensor, rows: int, columns: int) -> Tensor:
    """`F.adaptive_max_pool2d` of (N, C, H, W), which ONNX does not have: in an exported graph over rows, then columns."""
    if not torch.compiler.is_compiling():
        return F.adaptive_max_pool2d(x, (rows, columns))
    for axis, number in ((-2, rows), (-1, columns)):
        size, num = (torch.full((), value, device=x.device) for value in (x.shape[axis], number))
        cells = torch.arange(number, device=x.device)
        first, last = cells * size // num, ((cells + 1) * size + num - 1) // num - 1  # as adaptive pooling has them
        spans = torch.minimum(first[:, None] + torch.arange(2 * POOL_PX, device=x.device), last[:, None])
        x = x.index_select(axis, spans.flatten()).unflatten(axis, (number, 2 * POOL_PX)).amax(axis)
    return x


class FeatureAggregation(nn.Module):
    """One half of the channels in doubled form makes a gate for itself, the other goes through a local branch; summed."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.split = conv(num_channels, 2 * num_channels, 1)
        self.pooled = conv(num_channels, num_channels, 3, groups=num_channels)
        self.alpha = nn.Parameter(torch.ones(1, num_channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, num_channels, 1, 1))
        self.gate = conv(num_channels, num_channels, 1)
        self.local = nn.Sequential(
            conv(num_channels, 2 * num_channels, 3, groups=num_channels),
            conv(2 * num_channels, 2 * num_channels, 1),
            nn.GELU(),
            conv(2 * num_channels, num_channels, 1),
        )
        self.join = conv(num_channels, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        own, gated = self.split(x).chunk(2, dim=1)
        height, width = x.shape[-2:]
        pooled = self.pooled(grid_max(gated, height // POOL_PX, width // POOL_PX))  # (N, C, H / 8, W / 8)
        with torch.autocast(x.device.type, enabled=False):
            spread = gated.float().var((-2, -1), keepdim=True)  # (N, C, 1, 1), of the whole picture
        gate = F.gelu(self.gate(pooled * self.alpha + spread * self.beta))
        gated = gated * F.interpolate(gate, (height, width), mode="nearest")
        return self.join(gated + self.local(own))


class PartialFeedForward(nn.Module):
    """1x1 to twice the channels, conv3 over the first quarter of them alone, 1x1 back; GELU after the first two."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.num_partial = num_channels // 2
        self.widen = conv(num_channels, 2 * num_channels, 1)
        self.partial = conv(self.num_partial, self.num_partial, 3)
        self.narrow = conv(2 * num_channels, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.gelu(self.widen(x))
        part = F.gelu(self.partial(wide[:, : self.num_partial]))
        return self.narrow(torch.cat([part, wide[:, self.num_partial :]], dim=1))


def unit(x: Tensor) -> Tensor:
    """Each pixel's channels over their Euclidean norm."""
    with torch.autocast(x.device.type, enabled=False):
        return F.normalize(x.float(), dim=1)


class Block(nn.Module):
    """Both parts, each with a skip around itself and the norm before it."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.aggregation = FeatureAggregation(num_channels)
        self.feed_forward = PartialFeedForward(num_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.aggregation(unit(x))
        return x + self.feed_forward(unit(x))


class SMFANet(nn.Module):
    """Head conv, blocks with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(
        self, scale: int, num_channels: int, num_blocks: int, block: Callable[[int], nn.Module] = Block
    ) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels)
        self.body = nn.Sequential(*(block(num_channels) for _ in range(num_blocks)))
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        head = self.head(at_least(x, POOL_PX))
        return self.upscale(self.body(head) + head)[..., : height * self.scale, : width * self.scale]


SMFANET = ModelSpec(
    name="smfanet",
    build=lambda scale: SMFANet(scale, num_channels=36, num_blocks=8),
    colours=RGB,
    halo_px=lambda scale: 0,  # runs untiled
    local=False,
    bf16_safe=False,  # 0.6 code values (RMS) away on a real picture
    is_planar=True,
    source="Zheng et al. 2024, ECCV",
    download=Download("Zheng-MJ/SMFANet", "Apache-2.0"),
)


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


class NormedBlock(nn.Module):
    """SAFMN's: modulation, then conv3 to twice the channels, GELU, 1x1 back; each with a skip and the norm before it."""

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
        super().__init__(scale, num_channels, num_blocks, NormedBlock)


SAFMN_36 = replace(
    SMFANET,  # bf16_safe as that too, not measured on real weights
    name="safmn",
    build=SAFMN,
    is_planar=False,
    source="Sun et al. 2023, arXiv:2302.13800",
    download=Download("sunny2109/SAFMN", "Apache-2.0"),
)
SPECS = (
    SMFANET,
    replace(SMFANET, name="smfanet-plus", build=lambda scale: SMFANet(scale, num_channels=48, num_blocks=12)),
    SAFMN_36,
)
