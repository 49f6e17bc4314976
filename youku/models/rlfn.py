"""RLFN: residual local feature network; three convolutions, a skip and spatial attention a block, one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]; inside, pictures are 0-255 as in the published weights.
Learnable parameters: 526,856 / 533,891 / 543,740 (x2 / x3 / x4). The attention pools over a grid that starts at the
picture's corner and is stretched over the whole picture, so the network does not run in tiles.
Source: Kong et al. 2022, "Residual Local Feature Network for Efficient Super-Resolution", arXiv:2205.07514.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, Residual, conv
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

SLOPE = 0.05  # of the leaky ReLUs
STRIDED_PX, POOL_PX, POOL_STRIDE = 3, 7, 3
LEAST_PX = 2 * (POOL_PX - 1) + STRIDED_PX  # the smallest picture that fills one window of the pooling


class SpatialAttention(nn.Module):
    """Enhanced spatial attention: x * sigmoid(expand(stretched(pooled(reduced x)) + skip(reduced x)))."""

    def __init__(self, num_channels: int, num_reduced: int) -> None:
        super().__init__()
        self.reduce = conv(num_channels, num_reduced, 1)
        self.strided = nn.Conv2d(num_reduced, num_reduced, STRIDED_PX, stride=2)
        self.pooled: nn.Module = conv(num_reduced, num_reduced, 3)
        self.skip = conv(num_reduced, num_reduced, 1)
        self.expand = conv(num_reduced, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        pooled = self.pooled(F.max_pool2d(self.strided(reduced), POOL_PX, POOL_STRIDE))  # about (H / 6, W / 6)
        stretched = F.interpolate(pooled, x.shape[-2:], mode="bilinear", align_corners=False)
        return x * torch.sigmoid(self.expand(stretched + self.skip(reduced)))


class Block(nn.Module):
    """Three conv + leaky ReLU with a skip around them, a 1x1 fusion, attention."""

    def __init__(self, num_channels: int, num_reduced: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers += [conv(num_channels, num_channels, 3), nn.LeakyReLU(SLOPE)]
        self.body = Residual(*layers)
        self.fuse = conv(num_channels, num_channels, 1)
        self.attention = SpatialAttention(num_channels, num_reduced)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(self.fuse(self.body(x)))


class RLFN(nn.Module):
    """Head conv, blocks + conv with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(self, scale: int, num_channels: int = 52, num_reduced: int = 16, num_blocks: int = 6) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels, 3)
        self.blocks = nn.Sequential(*(Block(num_channels, num_reduced) for _ in range(num_blocks)))
        self.mid = conv(num_channels, num_channels, 3)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale, 3)), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        missing = (0, torch.sym_max(0, LEAST_PX - width), 0, torch.sym_max(0, LEAST_PX - height))
        features = self.head(F.pad(x, missing, mode="replicate") * 255)
        features = features + self.mid(self.blocks(features))
        return self.upscale(features)[..., : height * self.scale, : width * self.scale] / 255


SPECS = (
    ModelSpec(
        name="rlfn",
        build=RLFN,
        colours=RGB,
        halo_px=lambda scale: 0,  # runs untiled
        local=False,
        source="Kong et al. 2022, arXiv:2205.07514",
        download=Download("bytedance/RLFN", "Apache-2.0"),
    ),
)
