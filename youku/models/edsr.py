"""EDSR and EDSR-baseline: residual blocks without batch norm, residual scaling, sub-pixel upsampler.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]; inside, pictures are 0-255 minus the DIV2K mean as in the paper.
Learnable parameters: baseline 1,369,859 / 1,554,499 / 1,517,571, full 40,729,603 / 43,680,003 / 43,089,923 (x2 / x3 / x4).
Source: Lim et al. 2017, "Enhanced Deep Residual Networks for Single Image Super-Resolution".
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Residual, SubPixel, conv
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)


def residual_block(num_channels: int, residual_scale: float) -> Residual:
    """x + residual_scale * conv(ReLU(conv(x)))."""
    first, second = conv(num_channels, num_channels, 3), conv(num_channels, num_channels, 3)
    return Residual(first, nn.ReLU(), second, scale=residual_scale)


class EDSR(nn.Module):
    """Head conv, residual blocks + conv with a long skip, sub-pixel upsampler, tail conv."""

    mean: Tensor

    def __init__(self, scale: int, num_channels: int, num_blocks: int, residual_scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, num_channels, 3)
        self.body = nn.Sequential(
            *(residual_block(num_channels, residual_scale) for _ in range(num_blocks)),
            conv(num_channels, num_channels, 3),
        )
        self.upscale = SubPixel(num_channels, scale)
        self.tail = FullPrecision(conv(num_channels, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head((x - self.mean) * 255)
        features = features + self.body(features)
        return self.tail(self.upscale(features)) / 255 + self.mean


BASELINE = ModelSpec(
    name="edsr-baseline",
    build=lambda scale: EDSR(scale, num_channels=64, num_blocks=16, residual_scale=1.0),
    colours=RGB,
    halo_px=lambda scale: 1 + 2 * 16 + 1 + 2,  # head, two conv3 a block, the body's last, upscale and tail
    source="Lim et al. 2017, arXiv:1707.02921",
    download=Download("sanghyun-son/EDSR-PyTorch", "MIT"),
)
SPECS = (
    BASELINE,
    replace(
        BASELINE,
        name="edsr",
        build=lambda scale: EDSR(scale, num_channels=256, num_blocks=32, residual_scale=0.1),
        halo_px=lambda scale: 1 + 2 * 32 + 1 + 2,
    ),
)
