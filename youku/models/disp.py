"""DISP: four residual blocks of four convolutions with SiLU at low resolution, one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters: 153,388 / 157,723 / 163,792 (x2 / x3 / x4).
Eighteen 3x3 convolutions in a row and nothing wider, so it runs in tiles.
Source: team 18 of the NTIRE 2026 challenge on efficient super-resolution, arXiv:2604.03198;
Amazingren/NTIRE2026_ESR, MIT; there is no paper of its own.
"""

from __future__ import annotations

from torch import Tensor, nn

from youku.models.blocks import FullPrecision, PixelShuffle, Residual, conv
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

NUM_CONVS = 4  # of a block


def block(num_channels: int) -> Residual:
    """x + SiLU(conv(SiLU(conv(SiLU(conv(SiLU(conv(x))))))))."""
    layers: list[nn.Module] = []
    for _ in range(NUM_CONVS):
        layers += [conv(num_channels, num_channels), nn.SiLU()]
    return Residual(*layers)


class DISP(nn.Module):
    """Head conv, blocks and a 1x1 with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(self, scale: int, num_channels: int = 32, num_blocks: int = 4) -> None:
        super().__init__()
        self.head = conv(3, num_channels)
        self.body = nn.Sequential(*(block(num_channels) for _ in range(num_blocks)))
        self.mid = conv(num_channels, num_channels, 1)
        self.upscale = nn.Sequential(FullPrecision(conv(num_channels, 3 * scale * scale)), PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        head = self.head(x)
        return self.upscale(self.mid(self.body(head)) + head)


DISP_32 = ModelSpec(
    name="disp",
    build=DISP,
    colours=RGB,
    halo_px=lambda scale: 1 + 4 * NUM_CONVS + 1,
    bf16_safe=False,  # 0.86 code values (RMS) away on a real picture
    source="NTIRE 2026 ESR team 18, arXiv:2604.03198",
    download=Download("Amazingren/NTIRE2026_ESR", "MIT"),
)
SPECS = (DISP_32,)
