"""SRResNet, the generator of SRGAN: 16 residual blocks with batch norm, long skip, two sub-pixel stages.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]; inside, the output lives in [-1, 1] as in the paper and is mapped
back at the end (no tanh: the paper's is optional, and it saturates near black and white). 1,549,462 parameters at x4.
Source: Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network".
"""

from __future__ import annotations

from torch import Tensor, nn

from youku.models.blocks import FullPrecision, SubPixel, conv


class ResidualBlock(nn.Sequential):
    """x + BN(conv(PReLU(BN(conv(x)))))."""

    def __init__(self, num_channels: int) -> None:
        super().__init__(
            conv(num_channels, num_channels, 3),
            nn.BatchNorm2d(num_channels),
            nn.PReLU(),
            conv(num_channels, num_channels, 3),
            nn.BatchNorm2d(num_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class SRResNet(nn.Module):
    """conv9 + PReLU, blocks, conv3 + BN + long skip, sub-pixel upscaling with PReLU, conv9."""

    def __init__(self, scale: int, num_channels: int = 64, num_blocks: int = 16) -> None:
        super().__init__()
        self.head = nn.Sequential(conv(3, num_channels, 9), nn.PReLU())
        self.body = nn.Sequential(
            *(ResidualBlock(num_channels) for _ in range(num_blocks)),
            conv(num_channels, num_channels, 3),
            nn.BatchNorm2d(num_channels),
        )
        self.upscale = SubPixel(num_channels, scale, activation=True)
        self.tail = FullPrecision(conv(num_channels, 3, 9))

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(x)
        features = features + self.body(features)
        signed = self.tail(self.upscale(features))  # [-1, 1]
        return (signed + 1) / 2
