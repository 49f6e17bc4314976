"""EnhanceNet: residual blocks, nearest-neighbour upscaling with convolutions, added to the bicubic enlargement.

(N, C, H, W) -> (N, C, s H, s W) in [0, 1]. Learnable parameters x4 / x2: RGB 852,867 / 815,939, luma 850,561 / 813,633;
batch norm in the blocks, as in the old-film report, adds 2,560. Source: Sajjadi, Schoelkopf, Hirsch 2017,
arXiv:1612.07919.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from youku.models.blocks import Interpolate, Residual, ResizeConv, before_resize_conv, conv
from youku.models.colours import RGB, Y
from youku.models.spec import ModelSpec

MID_GREY = 0.5
"""Subtracted from the input, so that zero padding is mid-grey; the paper subtracts a data mean."""


def residual_block(batch_norm: bool) -> Residual:
    """x + conv(ReLU(conv(x))), each convolution followed by batch norm where asked."""
    first, second = ([conv(64, 64, 3), *([nn.BatchNorm2d(64)] if batch_norm else [])] for _ in range(2))
    return Residual(*first, nn.ReLU(), *second)


class EnhanceNet(nn.Module):
    """conv3, 10 blocks (no long skip of features), resize-convolutions, conv3, conv3; plus bicubic(x)."""

    def __init__(self, scale: int, num_planes: int = 3, batch_norm: bool = False, num_blocks: int = 10) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.head = nn.Sequential(conv(num_planes, 64, 3), nn.ReLU())
        self.body = nn.Sequential(*(residual_block(batch_norm) for _ in range(num_blocks)))
        self.upscale = ResizeConv(64, scale)
        self.tail = nn.Sequential(conv(64, 64, 3), nn.ReLU(), conv(64, num_planes, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarge(x) + self.residual(x)  # the sum is float32

    def residual(self, x: Tensor) -> Tensor:
        """(N, C, s H, s W): what is added to the enlarged picture."""
        return self.tail(self.upscale(self.body(self.head(x - MID_GREY))))


ENHANCENET = ModelSpec(
    name="enhancenet",
    build=EnhanceNet,
    colours=RGB,
    scales=(2, 4),
    halo_px=before_resize_conv(1 + 2 * 10, 2),
    source="Sajjadi et al. 2017, arXiv:1612.07919",
)
SPECS = (
    ENHANCENET,
    replace(ENHANCENET, name="enhancenet-y", build=lambda scale: EnhanceNet(scale, num_planes=1), colours=Y),
)
