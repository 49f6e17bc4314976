"""Perceptual-SR: Johnson's style-transfer network, turned to super-resolution by x4 and x8.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1], [-1, 1] inside, where the paper scales its tanh to 0-255. 401,859
learnable parameters at x4, 438,915 at x8. Upscaling is nearest neighbour and a convolution; the paper's transposed
convolution (same size) is an option, kept to show its checkerboard [Odena et al. 2016, distill.pub/2016/deconv-checkerboard].
Source: Johnson, Alahi, Fei-Fei 2016, arXiv:1603.08155.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import FullPrecision, ResizeConv, before_resize_conv, conv
from youku.models.colours import RGB
from youku.models.spec import ModelSpec
from youku.models.srresnet import residual_block

NUM_CHANNELS = 64


class PerceptualSR(nn.Module):
    """conv9 + BN + ReLU, 4 residual blocks, log2(scale) enlargements with BN + ReLU, conv9, tanh."""

    def __init__(self, scale: int, deconvolution: bool = False) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, NUM_CHANNELS, 9), nn.BatchNorm2d(NUM_CHANNELS), nn.ReLU())
        self.body = nn.Sequential(*(residual_block(NUM_CHANNELS, nn.ReLU()) for _ in range(4)))
        self.upscale = Deconvolutions(scale) if deconvolution else ResizeConv(NUM_CHANNELS, scale, batch_norm=True)
        self.tail = FullPrecision(conv(NUM_CHANNELS, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        signed = torch.tanh(self.tail(self.upscale(self.body(self.head(x * 2 - 1)))))  # [-1, 1]
        return (signed + 1) / 2


class Deconvolutions(nn.Sequential):
    """The paper's "stride 1/2" convolutions: 3x3 transposed of stride 2, so taps overlap unevenly; BN, ReLU."""

    def __init__(self, scale: int) -> None:
        layers: list[nn.Module] = []
        for _ in range(scale.bit_length() - 1):
            layers += [
                nn.ConvTranspose2d(NUM_CHANNELS, NUM_CHANNELS, 3, stride=2, padding=1, output_padding=1),
                nn.BatchNorm2d(NUM_CHANNELS),
                nn.ReLU(),
            ]
        super().__init__(*layers)


RESIZED = ModelSpec(
    name="perceptual-sr",
    build=PerceptualSR,
    colours=RGB,
    scales=(4, 8),
    halo_px=before_resize_conv(4 + 2 * 4, 4),
    source="Johnson et al. 2016, arXiv:1603.08155",
)
SPECS = (
    RESIZED,
    replace(RESIZED, name="perceptual-sr-deconv", build=lambda scale: PerceptualSR(scale, deconvolution=True)),
)
