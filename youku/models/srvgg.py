"""Plain chains of convolutions, for drawn pictures above all: SRVGGNetCompact, and waifu2x's vgg_7 and upconv_7.

- SRVGGNetCompact: (N, 3, H, W) -> (N, 3, s H, s W) in [0, 1]; conv + PReLU at low resolution, pixel shuffle,
  nearest-neighbour skip. Learnable parameters at x4: 621,424 with 16 body convolutions (animevideov3), 1,213,296 with 32
  (general-x4v3). PReLU has a slope a channel. Source: Wang et al. 2021, "Real-ESRGAN", arXiv:2107.10833 (its compact
  models, v0.2.3).
- vgg_7, upconv_7: (N, C, H, W) -> (N, C, 2 H, 2 W) in [0, 1], C = 3 or 1; seven valid convolutions on the repeated picture,
  or six and a deconvolution. They lose a border, so the picture is first continued by its edge pixels. Learnable parameters
  RGB / Y: vgg_7 290,467 / 287,585, upconv_7 552,480 / 544,000. Deviation: the original clips its output to [0, 1] here; the
  kit clips when it rounds, so that gradients pass. Source: nagadomi/waifu2x (after Dong et al. 2014, arXiv:1501.00092).
"""

from __future__ import annotations

import math
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, conv, conv_prelu, pixel_shuffle, repeated, start
from youku.models.colours import RGB, Y
from youku.models.spec import Download, ModelSpec

PRELU_SLOPE = 0.25  # that torch's starts with
SLOPE = 0.1  # of waifu2x's leaky ReLUs
VGG_WIDTHS = (32, 32, 64, 64, 128, 128)
UPCONV_WIDTHS = (16, 32, 64, 128, 128, 256)
MARGIN_PX = 7  # vgg_7 loses 1 a convolution at full size; upconv_7 6 at low resolution, at its end 2 more output pixels


class SRVGG(nn.Module):
    """Head, `num_convs` body convolutions, conv to 3 s^2 channels; the network adds detail to the repeated input."""

    def __init__(self, scale: int, num_convs: int, num_channels: int = 64) -> None:
        super().__init__()
        self.scale = scale
        body = repeated(num_convs, lambda: conv_prelu(num_channels, num_channels))
        self.body = nn.Sequential(*conv_prelu(3, num_channels), *body)
        self.last = FullPrecision(conv(num_channels, 3 * scale * scale, 3))
        # He et al. 2015: torch's own start fades to nothing over so many layers
        start(self.body, lambda weight: nn.init.kaiming_normal_(weight, a=PRELU_SLOPE))

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


class VGG7(nn.Module):
    """Nearest-neighbour x2, then seven valid 3x3 convolutions."""

    def __init__(self, scale: int, num_planes: int) -> None:
        super().__init__()
        assert scale == 2
        self.body = _valid_convolutions(num_planes, VGG_WIDTHS)
        self.last = FullPrecision(nn.Conv2d(VGG_WIDTHS[-1], num_planes, 3))
        start(self, _draw)

    def forward(self, x: Tensor) -> Tensor:
        repeated = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.last(self.body(F.pad(repeated, [MARGIN_PX] * 4, mode="replicate")))


class Upconv7(nn.Module):
    """Six valid 3x3 convolutions at low resolution, then a 4x4 deconvolution of stride 2 and padding 3, without bias."""

    def __init__(self, scale: int, num_planes: int) -> None:
        super().__init__()
        assert scale == 2
        self.body = _valid_convolutions(num_planes, UPCONV_WIDTHS)
        last = nn.ConvTranspose2d(UPCONV_WIDTHS[-1], num_planes, 4, stride=2, padding=3, bias=False)
        self.last = FullPrecision(last)
        start(self, _draw)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(F.pad(x, [MARGIN_PX] * 4, mode="replicate")))


def _valid_convolutions(num_planes: int, widths: tuple[int, ...]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for num_in, num_out in zip((num_planes, *widths), widths, strict=False):
        layers += [nn.Conv2d(num_in, num_out, 3), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers)


def _draw(weight: Tensor) -> None:
    """The original's: N(0, sqrt(4 / ((1 + slope^2) (fan in + fan out)))), biases 0."""
    fans = sum(weight.shape[:2]) * weight.shape[2] * weight.shape[3]
    nn.init.normal_(weight, 0.0, math.sqrt(4 / ((1 + SLOPE**2) * fans)))


VGG7_RGB = ModelSpec(
    name="waifu2x-vgg7",
    build=lambda scale: VGG7(scale, num_planes=3),
    colours=RGB,
    scales=(2,),
    halo_px=lambda scale: 4,  # 7 output pixels
    source="nagadomi/waifu2x, vgg_7",
)
UPCONV7_RGB = replace(
    VGG7_RGB,
    name="waifu2x-upconv7",
    build=lambda scale: Upconv7(scale, num_planes=3),
    halo_px=lambda scale: 7,
    source="nagadomi/waifu2x, upconv_7",
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
    VGG7_RGB,
    replace(
        VGG7_RGB,
        name="waifu2x-vgg7-y",
        build=lambda scale: VGG7(scale, num_planes=1),
        colours=Y,
        source=f"{VGG7_RGB.source} on luma",
    ),
    UPCONV7_RGB,
    replace(
        UPCONV7_RGB,
        name="waifu2x-upconv7-y",
        build=lambda scale: Upconv7(scale, num_planes=1),
        colours=Y,
        source=f"{UPCONV7_RGB.source} on luma",
    ),
)
