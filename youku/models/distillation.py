"""IMDN, RFDN and RLFN: blocks that set features aside on the way, each network after the one before; one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Their attention looks at the whole picture (channels by contrast and
mean; or a pooled grid that starts at the corner and is stretched over it), so they do not run in tiles.

- IMDN: after every convolution of a block a quarter of the channels is split off. Learnable parameters 694,404 / 703,059 /
  715,176 (x2 / x3 / x4), the 694 K, 703 K and 715 K of the paper. Source: Hui, Gao, Yang, Wang 2019, "Lightweight Image
  Super-Resolution with Information Multi-distillation Network", arXiv:1909.11856.
- RFDN: a 1x1 beside each convolution keeps a part. 417,212 / 423,977 / 433,448, the 0.433 M of the form that won AIM 2020's
  challenge on efficient super-resolution (50 channels, 4 blocks). Source: Liu, Tang, Wu 2020, "Residual Feature
  Distillation Network for Lightweight Image Super-Resolution", arXiv:2009.11551.
- RLFN: three convolutions, a skip and attention, nothing kept. 526,856 / 533,891 / 543,740; inside, pictures are 0-255 as in
  the published weights. Source: Kong et al. 2022, "Residual Local Feature Network for Efficient Super-Resolution",
  arXiv:2205.07514.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, PixelShuffle, Residual, at_least, conv, repeated
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

SLOPE = 0.05  # of the leaky ReLUs
NUM_PARTS = 4  # that a block of IMDN or RFDN sets aside
REDUCTION = 16  # of IMDN's attention
STRIDED_PX, POOL_PX, POOL_STRIDE = 3, 7, 3
LEAST_PX = 2 * (POOL_PX - 1) + STRIDED_PX  # the smallest picture that fills one window of the pooling


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


class SplitBlock(nn.Module):
    """IMDN's: four conv3, after each of the first three a quarter is kept and the rest goes on; attention, 1x1, skip."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        self.num_kept = num_channels // 4
        rest = num_channels - self.num_kept
        middle = [conv(rest, num_channels) for _ in range(NUM_PARTS - 2)]
        self.convs = nn.ModuleList([conv(num_channels, num_channels), *middle, conv(rest, self.num_kept)])
        self.attention = ContrastAttention(NUM_PARTS * self.num_kept)
        self.fuse = conv(num_channels, num_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept, rest = [], x
        for index in range(NUM_PARTS - 1):
            features = F.leaky_relu(self.convs[index](rest), SLOPE)
            kept.append(features[:, : self.num_kept])
            rest = features[:, self.num_kept :]
        kept.append(self.convs[-1](rest))
        return x + self.fuse(self.attention(torch.cat(kept, dim=1)))


class IMDN(nn.Module):
    """Head conv, blocks whose outputs are joined by a 1x1, conv3 with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(
        self, scale: int, num_channels: int = 64, num_blocks: int = 6, block: Callable[[int], nn.Module] = SplitBlock
    ) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels)
        self.body = nn.ModuleList(block(num_channels) for _ in range(num_blocks))
        self.join = nn.Sequential(conv(num_blocks * num_channels, num_channels, 1), nn.LeakyReLU(SLOPE))
        self.mid = conv(num_channels, num_channels)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        head = features = self.head(x)
        found = []
        for block in self.body:
            features = block(features)
            found.append(features)
        return self.upscale(self.mid(self.join(torch.cat(found, dim=1))) + head)


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


class DeepAttention(SpatialAttention):
    """RFDN's: on a quarter of the channels, with three convolutions on the pooled grid."""

    def __init__(self, num_channels: int) -> None:
        num_reduced = num_channels // 4
        super().__init__(num_channels, num_reduced)
        layers = [conv(num_reduced, num_reduced), nn.ReLU(), conv(num_reduced, num_reduced), nn.ReLU()]
        self.pooled = nn.Sequential(*layers, conv(num_reduced, num_reduced))


class KeepBlock(nn.Module):
    """RFDN's: three residual conv3, a 1x1 to half the channels before each and a conv3 at the end; what was kept is fused."""

    def __init__(self, num_channels: int) -> None:
        super().__init__()
        num_kept, last = num_channels // 2, NUM_PARTS - 1
        self.keep = nn.ModuleList(conv(num_channels, num_kept, 3 if at == last else 1) for at in range(NUM_PARTS))
        self.refine = nn.ModuleList(conv(num_channels, num_channels) for _ in range(last))
        self.fuse = conv(NUM_PARTS * num_kept, num_channels, 1)
        self.attention = DeepAttention(num_channels)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for keep, refine in zip(self.keep, self.refine, strict=False):
            kept.append(F.leaky_relu(keep(x), SLOPE))
            x = F.leaky_relu(refine(x) + x, SLOPE)
        kept.append(F.leaky_relu(self.keep[-1](x), SLOPE))
        return self.attention(self.fuse(torch.cat(kept, dim=1)))


class RFDN(IMDN):
    """IMDN's plan with these blocks."""

    def __init__(self, scale: int, num_channels: int = 50, num_blocks: int = 4) -> None:
        super().__init__(scale, num_channels, num_blocks, KeepBlock)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        return super().forward(at_least(x, LEAST_PX))[..., : height * self.scale, : width * self.scale]


class LocalBlock(nn.Module):
    """RLFN's: three conv + leaky ReLU with a skip around them, a 1x1 fusion, attention."""

    def __init__(self, num_channels: int, num_reduced: int) -> None:
        super().__init__()
        self.body = Residual(*repeated(3, lambda: (conv(num_channels, num_channels), nn.LeakyReLU(SLOPE))))
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
        self.blocks = nn.Sequential(*(LocalBlock(num_channels, num_reduced) for _ in range(num_blocks)))
        self.mid = conv(num_channels, num_channels, 3)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale, 3)), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        features = self.head(at_least(x, LEAST_PX) * 255)
        features = features + self.mid(self.blocks(features))
        return self.upscale(features)[..., : height * self.scale, : width * self.scale] / 255


IMDN_64 = ModelSpec(
    name="imdn",
    build=IMDN,
    colours=RGB,
    halo_px=lambda scale: 0,  # runs untiled
    local=False,
    source="Hui et al. 2019, arXiv:1909.11856",
    download=Download("Zheng222/IMDN", "none stated"),
)
RFDN_50 = replace(
    IMDN_64,
    name="rfdn",
    build=RFDN,
    source="Liu et al. 2020, arXiv:2009.11551",
    download=Download("njulj/RFDN", "none stated"),
)
RLFN_52 = replace(
    IMDN_64,
    name="rlfn",
    build=RLFN,
    source="Kong et al. 2022, arXiv:2205.07514",
    download=Download("bytedance/RLFN", "Apache-2.0"),
)
SPECS = (IMDN_64, RFDN_50, RLFN_52)
