"""RFDN: residual feature distillation; each block keeps a part of its features on the way, one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters: 417,212 / 423,977 / 433,448 (x2 / x3 / x4), the
0.433 M of the form that won AIM 2020's challenge on efficient super-resolution (50 channels, 4 blocks). The attention pools
over a grid of the whole picture, so the network does not run in tiles.
Source: Liu, Tang, Wu 2020, "Residual Feature Distillation Network for Lightweight Image Super-Resolution", arXiv:2009.11551.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models import rlfn
from youku.models.blocks import FullPrecision, conv, joined
from youku.models.colours import RGB
from youku.models.rlfn import LEAST_PX, SLOPE
from youku.models.spec import Download, ModelSpec

NUM_KEPT = 4  # parts that a block keeps


class SpatialAttention(rlfn.SpatialAttention):
    """RLFN's on a quarter of the channels, with three convolutions on the pooled grid."""

    def __init__(self, num_channels: int) -> None:
        num_reduced = num_channels // 4
        super().__init__(num_channels, num_reduced)
        layers = [conv(num_reduced, num_reduced), nn.ReLU(), conv(num_reduced, num_reduced), nn.ReLU()]
        self.pooled = nn.Sequential(*layers, conv(num_reduced, num_reduced))


class Block(nn.Module):
    """Three residual conv3, a 1x1 to half the channels before each and a conv3 at the end; what was kept is fused."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        num_kept, last = num_channels // 2, NUM_KEPT - 1
        self.keep = nn.ModuleList(conv(num_channels, num_kept, 3 if at == last else 1) for at in range(NUM_KEPT))
        self.refine = nn.ModuleList(conv(num_channels, num_channels) for _ in range(last))
        self.fuse = conv(NUM_KEPT * num_kept, num_channels, 1)
        self.attention = SpatialAttention(num_channels)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for keep, refine in zip(self.keep, self.refine, strict=False):
            kept.append(F.leaky_relu(keep(x), SLOPE))
            x = F.leaky_relu(refine(x) + x, SLOPE)
        kept.append(F.leaky_relu(self.keep[-1](x), SLOPE))
        return self.attention(self.fuse(torch.cat(kept, dim=1)))


class RFDN(nn.Module):
    """Head conv, blocks whose outputs are joined by a 1x1, conv3 with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(self, scale: int, num_channels: int = 50, num_blocks: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels)
        self.body = nn.ModuleList(Block(num_channels) for _ in range(num_blocks))
        self.join = nn.Sequential(conv(num_blocks * num_channels, num_channels, 1), nn.LeakyReLU(SLOPE))
        self.mid = conv(num_channels, num_channels)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        missing = (0, torch.sym_max(0, LEAST_PX - width), 0, torch.sym_max(0, LEAST_PX - height))
        head = self.head(F.pad(x, missing, mode="replicate"))
        features = self.mid(self.join(joined(self.body, head))) + head
        return self.upscale(features)[..., : height * self.scale, : width * self.scale]


RFDN_50 = ModelSpec(
    name="rfdn",
    build=RFDN,
    colours=RGB,
    halo_px=lambda scale: 0,  # runs untiled
    local=False,
    source="Liu et al. 2020, arXiv:2009.11551",
    download=Download("njulj/RFDN", "none stated"),
)
SPECS = (RFDN_50,)
