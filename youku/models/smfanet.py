"""SMFANet and SMFANet+: blocks that mix a gate of the whole picture with a local branch, and partial convolutions.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters at x4: 197,328 and 495,888. The gate pools
over a grid of the picture and uses its variance, so the network does not run in tiles; pictures under 8 px a side are
continued by their edge pixels. Deviation: norm and variance in float32 under autocast, where 1e-12 would be 0.
Source: Zheng et al. 2024, "SMFANet: A Lightweight Self-Modulation Feature Aggregation Network for Efficient Image
Super-Resolution", ECCV 2024; Zheng-MJ/SMFANet, Apache-2.0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, conv
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

POOL_PX = 8  # side of a cell of the grid, about


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
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        missing = (0, torch.sym_max(0, POOL_PX - width), 0, torch.sym_max(0, POOL_PX - height))
        head = self.head(F.pad(x, missing, mode="replicate"))
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
SPECS = (
    SMFANET,
    replace(SMFANET, name="smfanet-plus", build=lambda scale: SMFANet(scale, num_channels=48, num_blocks=12)),
)
