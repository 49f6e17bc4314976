"""SRResNet, the generator of SRGAN, in the paper's form and in that of the course slides.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]: 16 residual blocks with batch norm, long skip, sub-pixel stages.
Learnable parameters at x4: paper 1,549,462 (1,546,771 without biases), slides 1,546,754. The paper's output lives in
[-1, 1] and is mapped back at the end (no tanh: there it is optional, and it saturates near black and white).
Source: Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, Residual, SubPixel, conv
from youku.models.colours import RGB
from youku.models.spec import ModelSpec

NUM_CHANNELS = 64
NUM_BLOCKS = 16


def residual_block(num_channels: int, activation: nn.Module, bias: bool = True) -> Residual:
    """x + BN(conv(act(BN(conv(x)))))."""
    return Residual(
        conv(num_channels, num_channels, 3, bias),
        nn.BatchNorm2d(num_channels),
        activation,
        conv(num_channels, num_channels, 3, bias),
        nn.BatchNorm2d(num_channels),
    )


def blocks(activation: Callable[[], nn.Module], bias: bool) -> nn.Sequential:
    """Residual blocks, conv3, BN: what the long skip goes around."""
    return nn.Sequential(
        *(residual_block(NUM_CHANNELS, activation(), bias) for _ in range(NUM_BLOCKS)),
        conv(NUM_CHANNELS, NUM_CHANNELS, 3, bias),
        nn.BatchNorm2d(NUM_CHANNELS),
    )


class SRResNet(nn.Module):
    """conv9 + PReLU, blocks, conv3 + BN + long skip, sub-pixel upscaling with PReLU, conv9."""

    def __init__(self, scale: int, bias: bool = True) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, NUM_CHANNELS, 9, bias), nn.PReLU())
        self.body = blocks(nn.PReLU, bias)
        self.upscale = SubPixel(NUM_CHANNELS, scale, activation=True, bias=bias)
        self.tail = FullPrecision(conv(NUM_CHANNELS, 3, 9, bias))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x)
        features = features + self.body(features)
        signed = self.tail(self.upscale(features))  # [-1, 1]
        return (signed + 1) / 2


class SlidesSRResNet(nn.Module):
    """The slides' "original": no biases, linear head, slopes only after the upscaling, input and tanh output in [-1, 1].

    Their count of 1,546,754 leaves no room for a slope in the blocks; that it is ReLU there is our choice.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.head = conv(3, NUM_CHANNELS, 9, bias=False)
        self.body = blocks(nn.ReLU, bias=False)
        self.upscale = SubPixel(NUM_CHANNELS, scale, activation=True, bias=False)
        self.tail = FullPrecision(conv(NUM_CHANNELS, 3, 9, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x * 2 - 1)
        features = features + self.body(features)
        signed = torch.tanh(self.tail(self.upscale(features)))  # [-1, 1]
        return (signed + 1) / 2


PAPER = ModelSpec(
    name="srresnet",
    build=SRResNet,
    colours=RGB,
    scales=(2, 4),
    halo_px=lambda scale: 4 + 2 * 16 + 1 + 2 + -(-4 // scale),  # conv9, blocks, mid, upscale, conv9 at full size
    source="Ledig et al. 2017, arXiv:1609.04802",
)
SPECS = (
    PAPER,
    replace(PAPER, name="srgan"),  # its generator; the adversary is a loss
    replace(
        PAPER,
        name="srresnet-slides",
        build=SlidesSRResNet,
        source="Yiin 2020, Deep Belief course 5, epoch402: the original",
    ),
)
