"""SRVGGNetCompact: a plain chain of conv + PReLU at low resolution, pixel shuffle, nearest-neighbour skip.

(N, 3, H, W) -> (N, 3, s H, s W) in [0, 1]. Learnable parameters at x4: 621,424 with 16 body convolutions
(animevideov3), 1,213,296 with 32 (general-x4v3). PReLU has a slope a channel.
Source: Wang et al. 2021, "Real-ESRGAN", arXiv:2107.10833 (its compact models, v0.2.3).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, conv, pixel_shuffle, start
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

SLOPE = 0.25  # that torch's PReLU starts with


class SRVGG(nn.Module):
    """Head, `num_convs` body convolutions, conv to 3 s^2 channels; the network adds detail to the repeated input."""

    def __init__(self, scale: int, num_convs: int, num_channels: int = 64) -> None:
        super().__init__()
        self.scale = scale
        layers: list[nn.Module] = [conv(3, num_channels, 3), nn.PReLU(num_channels)]
        for _ in range(num_convs):
            layers += [conv(num_channels, num_channels, 3), nn.PReLU(num_channels)]
        self.body = nn.Sequential(*layers)
        self.last = FullPrecision(conv(num_channels, 3 * scale * scale, 3))
        # He et al. 2015: torch's own start fades to nothing over so many layers
        start(self.body, lambda weight: nn.init.kaiming_normal_(weight, a=SLOPE))

    def forward(self, x: Tensor) -> Tensor:
        detail = pixel_shuffle(self.last(self.body(x)), self.scale)
        return detail + F.interpolate(x, scale_factor=self.scale, mode="nearest")


SRVGG_16 = ModelSpec(
    name="srvgg-16",
    build=lambda scale: SRVGG(scale, num_convs=16),
    colours=RGB,
    halo_px=lambda scale: 1 + 16 + 1,
    source="Wang et al. 2021, arXiv:2107.10833, animevideov3",
    download=Download("xinntao/Real-ESRGAN", "BSD-3-Clause", "pictures blurred, noisy and coded, with a GAN"),
)
SPECS = (
    SRVGG_16,
    replace(
        SRVGG_16,
        name="srvgg-32",
        build=lambda scale: SRVGG(scale, num_convs=32),
        halo_px=lambda scale: 1 + 32 + 1,
        source="Wang et al. 2021, arXiv:2107.10833, general-x4v3",
    ),
)
