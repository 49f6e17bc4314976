"""IMDN: information multi-distillation; each block splits a quarter of its channels off after every convolution.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters: 694,404 / 703,059 / 715,176 (x2 / x3 / x4), the
694 K, 703 K and 715 K of the paper. The attention weighs channels by contrast and mean of the whole picture, so the network
does not run in tiles.
Source: Hui, Gao, Yang, Wang 2019, "Lightweight Image Super-Resolution with Information Multi-distillation Network",
arXiv:1909.11856.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, conv, joined
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

SLOPE = 0.05  # of the leaky ReLUs
NUM_CONVS = 4  # of a block
REDUCTION = 16  # of the attention


class ContrastAttention(nn.Module):
    """x * sigmoid(two 1x1 of (standard deviation + mean of each channel over the picture))."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.reduce = conv(num_channels, num_channels // REDUCTION, 1)
        self.expand = conv(num_channels // REDUCTION, num_channels, 1)
        nn.init.constant_(self.reduce.bias, 0.5)  # type: ignore[arg-type]  # of so few channels none may start dead

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            spread = x.float().var((-2, -1), correction=0, keepdim=True).sqrt()  # (N, C, 1, 1)
            told = spread + x.float().mean((-2, -1), keepdim=True)
        return x * torch.sigmoid(self.expand(F.relu(self.reduce(told))))


class Block(nn.Module):
    """Four conv3: after each of the first three a quarter is kept and the rest goes on; attention, 1x1, skip."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.num_kept = num_channels // 4
        rest = num_channels - self.num_kept
        middle = [conv(rest, num_channels) for _ in range(NUM_CONVS - 2)]
        self.convs = nn.ModuleList([conv(num_channels, num_channels), *middle, conv(rest, self.num_kept)])
        self.attention = ContrastAttention(NUM_CONVS * self.num_kept)
        self.fuse = conv(num_channels, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for index in range(NUM_CONVS - 1):
            features = F.leaky_relu(self.convs[index](rest), SLOPE)
            kept.append(features[:, : self.num_kept])
            rest = features[:, self.num_kept :]
        kept.append(self.convs[-1](rest))
        return x + self.fuse(self.attention(torch.cat(kept, dim=1)))


class IMDN(nn.Module):
    """Head conv, blocks whose outputs are joined by a 1x1, conv3 with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(self, scale: int, num_channels: int = 64, num_blocks: int = 6) -> None:
        super().__init__()
        self.head = conv(3, num_channels)
        self.body = nn.ModuleList(Block(num_channels) for _ in range(num_blocks))
        self.join = nn.Sequential(conv(num_blocks * num_channels, num_channels, 1), nn.LeakyReLU(SLOPE))
        self.mid = conv(num_channels, num_channels)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        return self.upscale(self.mid(self.join(joined(self.body, head))) + head)


IMDN_64 = ModelSpec(
    name="imdn",
    build=IMDN,
    colours=RGB,
    halo_px=lambda scale: 0,  # runs untiled
    local=False,
    source="Hui et al. 2019, arXiv:1909.11856",
    download=Download("Zheng222/IMDN", "none stated"),
)
SPECS = (IMDN_64,)
