"""The course slides' improved SRResNet: narrow dilated blocks, instance norm, depthwise upscaling, tanh.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1], [-1, 1] inside. 642,050 learnable parameters at x4 (and 4,224
running statistics in the state dict), no biases. Instance norm and tanh take absolute contrast away, which costs PSNR:
an ablation, not a default. In train mode the norms use each picture's own statistics, in eval mode the running ones.
Source: A. Yiin, Deep Belief course 5, epoch402, with the layers of its published checkpoint: the tail is 3x3, where
the slide says 5x5 (645,122 parameters). Which activation the blocks have is not known: LeakyReLU(0.2) is our choice.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Residual, conv
from youku.models.colours import RGB
from youku.models.spec import ModelSpec

DILATIONS_PX = (1, 2, 4, 8)
"""Cycle of the first convolution of each block."""


def norm(num_channels: int) -> nn.InstanceNorm2d:
    """Instance norm with learnt scale and shift that keeps running statistics for eval."""
    return nn.InstanceNorm2d(num_channels, affine=True, track_running_stats=True)


def dilated_block(num_channels: int, dilation_px: int) -> Residual:
    """x + IN(conv(act(IN(dilated conv(x))))), through half the channels."""
    narrow = num_channels // 2
    return Residual(
        conv(num_channels, narrow, 3, bias=False, dilation_px=dilation_px),
        norm(narrow),
        nn.LeakyReLU(0.2),
        conv(narrow, num_channels, 3, bias=False),
        norm(num_channels),
    )


class DepthwiseUpscale(nn.Sequential):
    """Two-fold: depthwise conv3 to four channels each, IN, pixel shuffle, PReLU with one slope."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(
            conv(num_channels, 4 * num_channels, 3, bias=False, groups=num_channels),
            norm(4 * num_channels),
            nn.PixelShuffle(2),
            nn.PReLU(),
        )


class ImprovedSRResNet(nn.Module):
    """conv5, dilated blocks, conv3 + IN + long skip, depthwise upscaling, conv and tanh."""

    def __init__(self, scale: int, num_channels: int = 64, num_blocks: int = 16, tail_px: int = 3) -> None:
        super().__init__()
        dilations_px = (DILATIONS_PX[index % len(DILATIONS_PX)] for index in range(num_blocks))
        self.head = conv(3, num_channels, 5, bias=False)
        self.body = nn.Sequential(
            *(dilated_block(num_channels, dilation_px) for dilation_px in dilations_px),
            conv(num_channels, num_channels, 3, bias=False),
            norm(num_channels),
        )
        self.upscale = nn.Sequential(*(DepthwiseUpscale(num_channels) for _ in range(scale.bit_length() - 1)))
        self.tail = FullPrecision(conv(num_channels, 3, tail_px, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x * 2 - 1)
        features = features + self.body(features)
        signed = torch.tanh(self.tail(self.upscale(features)))  # [-1, 1]
        return (signed + 1) / 2


SPECS = (
    ModelSpec(
        name="srresnet-improved",
        build=ImprovedSRResNet,
        colours=RGB,
        scales=(2, 4),
        halo_px=lambda scale: 2 + 4 * (1 + 2 + 4 + 8) + 16 + 1 + 2,  # conv5, dilated and plain conv3, mid, upscale
        source="Yiin 2020, Deep Belief course 5, epoch402: the improved",
    ),
)
