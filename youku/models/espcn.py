"""ESPCN: three convolutions at low resolution, the last to scale^2 channels, and one pixel shuffle.

(N, C, H, W) -> (N, C, s H, s W) in [0, 1]. Learnable parameters x2 / x3 / x4: luma 21,284 / 22,729 / 24,752,
RGB 26,796 / 31,131 / 37,200. Source: Shi et al. 2016, arXiv:1609.05158.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from youku.models.blocks import FullPrecision, conv
from youku.models.colours import RGB, Y
from youku.models.spec import ModelSpec


class ESPCN(nn.Module):
    """conv5 + tanh, conv3 + tanh, conv3, pixel shuffle."""

    def __init__(self, scale: int, num_planes: int = 1) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(num_planes, 64, 5), nn.Tanh())
        self.body = nn.Sequential(conv(64, 32, 3), nn.Tanh())
        self.upscale = nn.Sequential(FullPrecision(conv(32, num_planes * scale * scale, 3)), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        return self.upscale(self.body(self.head(x)))


LUMA = ModelSpec(
    name="espcn", build=ESPCN, colours=Y, halo_px=lambda scale: 2 + 1 + 1, source="Shi et al. 2016, arXiv:1609.05158"
)
SPECS = (LUMA, replace(LUMA, name="espcn-rgb", build=lambda scale: ESPCN(scale, num_planes=3), colours=RGB))
