"""EnhanceNet: residual blocks, nearest-neighbour upscaling with convolutions, added to the bicubic enlargement.

(N, C, H, W) -> (N, C, s H, s W) in [0, 1]. Learnable parameters x4 / x2: RGB 852,867 / 815,939, luma 850,561 / 813,633;
batch norm in the blocks, as in the old-film report, adds 2,560. Source: Sajjadi, Schoelkopf, Hirsch 2017,
arXiv:1612.07919.
"""

from __future__ import annotations

from torch import Tensor, nn

from youku.models.blocks import Interpolate, ResizeConv, conv

MID_GREY = 0.5
"""Subtracted from the input, so that zero padding is mid-grey; the paper subtracts a data mean."""


class ResidualBlock(nn.Sequential):
    """x + conv(ReLU(conv(x))), each convolution followed by batch norm where asked."""

    def __init__(self, num_channels: int, batch_norm: bool) -> None:
        layers: list[nn.Module] = []
        for _ in range(2):
            layers.append(conv(num_channels, num_channels, 3))
            if batch_norm:
                layers.append(nn.BatchNorm2d(num_channels))
            layers.append(nn.ReLU())
        super().__init__(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class EnhanceNet(nn.Module):
    """conv3, 10 blocks (no long skip of features), resize-convolutions, conv3, conv3; plus bicubic(x)."""

    def __init__(self, scale: int, num_planes: int = 3, batch_norm: bool = False, num_blocks: int = 10) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.head = nn.Sequential(conv(num_planes, 64, 3), nn.ReLU())
        self.body = nn.Sequential(*(ResidualBlock(64, batch_norm) for _ in range(num_blocks)))
        self.upscale = ResizeConv(64, scale)
        self.tail = nn.Sequential(conv(64, 64, 3), nn.ReLU(), conv(64, num_planes, 3))

    def forward(self, x: Tensor) -> Tensor:
        residual = self.tail(self.upscale(self.body(self.head(x - MID_GREY))))
        return self.enlarge(x) + residual  # the sum is float32
