"""Residual networks without batch norm: EDSR, EDSR-baseline, MSRResNet, CARN-M and DISP.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1], of CARN-M and DISP not clipped. Learnable parameters at x2 / x3 / x4:

- EDSR: residual scaling, sub-pixel upsampler; inside, pictures are 0-255 minus the DIV2K mean as in the paper. Baseline
  1,369,859 / 1,554,499 / 1,517,571, full 40,729,603 / 43,680,003 / 43,089,923. Source: Lim et al. 2017, "Enhanced Deep
  Residual Networks for Single Image Super-Resolution".
- MSRResNet: BasicSR's modified SRResNet, leaky ReLU, a bilinear skip. 1,369,859 / 1,554,499 / 1,517,571.
- CARN-M: what every stage makes is joined to all before it, inside the blocks and around them; grouped convolutions. A
  block runs its residual layers three times over. 414,787 whatever the scale, as one set of weights has a tail for each of
  x2, x3 and x4; without the 2,755 biases 412,032, the 412 K of the paper. Source: Ahn, Kang, Sohn 2018, "Fast, Accurate,
  and Lightweight Super-Resolution with Cascading Residual Network", arXiv:1803.08664.
- DISP: four residual blocks of four convolutions with SiLU at low resolution, one pixel shuffle. 153,388 / 157,723 /
  163,792. Eighteen 3x3 convolutions in a row and nothing wider, so it runs in tiles. Source: team 18 of the NTIRE 2026
  challenge on efficient super-resolution, arXiv:2604.03198; Amazingren/NTIRE2026_ESR, MIT; there is no paper of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, PixelShuffle, Residual, SubPixel, conv, repeated, residual_block, start
from youku.models.colours import RGB
from youku.models.spec import Download, ModelSpec

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
MILD_SLOPE = 0.1  # of BasicSR's leaky ReLUs
SCALES, NUM_STAGES = (2, 3, 4), 3  # of CARN-M
NUM_CONVS = 4  # of a block of DISP


class EDSR(nn.Module):
    """Head conv, residual blocks + conv with a long skip, sub-pixel upsampler, tail conv."""

    mean: Tensor

    def __init__(self, scale: int, num_channels: int, num_blocks: int, residual_scale: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, num_channels, 3)
        self.body = nn.Sequential(
            *(residual_block(num_channels, nn.ReLU(), scale=residual_scale) for _ in range(num_blocks)),
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


class MSRResNet(nn.Module):
    """BasicSR's modified form: no batch norm, leaky ReLU, one more conv3 at full size, bilinear skip [0, 1] -> [0, 1].

    Its start: He et al. 2015 times 0.1, so that it begins at the skip.
    """

    def __init__(self, scale: int, num_channels: int = 64, num_blocks: int = 16) -> None:
        super().__init__()
        self.scale = scale
        self.head = conv(3, num_channels)
        self.body = nn.Sequential(*(residual_block(num_channels, nn.ReLU()) for _ in range(num_blocks)))
        self.upscale = SubPixel(num_channels, scale, lambda: nn.LeakyReLU(MILD_SLOPE))
        self.refine = conv(num_channels, num_channels)
        self.tail = FullPrecision(conv(num_channels, 3))
        start(self, lambda weight: nn.init.kaiming_normal_(weight).data.mul_(0.1))

    def forward(self, x: Tensor) -> Tensor:
        features = self.upscale(self.body(F.leaky_relu(self.head(x), MILD_SLOPE)))
        detail = self.tail(F.leaky_relu(self.refine(features), MILD_SLOPE))
        return detail + F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)


MODIFIED = replace(
    BASELINE,
    name="msrresnet",
    build=MSRResNet,
    halo_px=lambda scale: 1 + 2 * 16 + 3,  # head, blocks, upscale, refine and tail at full size
    source="XPixelGroup/BasicSR, after Ledig et al. 2017",
    download=Download("XPixelGroup/BasicSR", "Apache-2.0"),
)


def cascade(x: Tensor, stages: Sequence[nn.Module], joins: nn.ModuleList) -> Tensor:
    """Each stage sees a 1x1 with ReLU over the input and all that the stages before it made; so does who comes after."""
    found = seen = x
    for stage, join in zip(stages, joins, strict=True):
        found = torch.cat([found, stage(seen)], dim=1)
        seen = F.relu(join(found))
    return seen


def _joins(num_channels: int) -> nn.ModuleList:
    return nn.ModuleList(conv(number * num_channels, num_channels, 1) for number in range(2, NUM_STAGES + 2))


class CascadeBlock(nn.Module):
    """A cascade of the same residual layers: two conv3 in groups and a 1x1."""

    def __init__(self, num_channels: int, groups: int) -> None:
        super().__init__()
        grouped = [conv(num_channels, num_channels, groups=groups) for _ in range(2)]
        last = conv(num_channels, num_channels, 1)
        self.residual = nn.Sequential(Residual(grouped[0], nn.ReLU(), grouped[1], nn.ReLU(), last), nn.ReLU())
        self.joins = _joins(num_channels)

    def forward(self, x: Tensor) -> Tensor:
        return cascade(x, [self.residual] * NUM_STAGES, self.joins)


class CARNM(nn.Module):
    """Head conv, a cascade of blocks, the scale's sub-pixel upsampler, tail conv; the mean of DIV2K is taken off and added."""

    mean: Tensor

    def __init__(self, scale: int, num_channels: int = 64, groups: int = 4) -> None:
        super().__init__()
        self.scale = str(scale)
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv(3, num_channels)
        self.body = nn.ModuleList(CascadeBlock(num_channels, groups) for _ in range(NUM_STAGES))
        self.joins = _joins(num_channels)
        self.upscale = nn.ModuleDict(
            {str(factor): SubPixel(num_channels, factor, nn.ReLU, groups=groups) for factor in SCALES}
        )
        self.tail = FullPrecision(conv(num_channels, 3))

    def forward(self, x: Tensor) -> Tensor:
        features = cascade(self.head(x - self.mean), list(self.body), self.joins)
        return self.tail(self.upscale[self.scale](features)) + self.mean


CARN_M = ModelSpec(
    name="carn-m",
    build=CARNM,
    colours=RGB,
    halo_px=lambda scale: 1 + 2 * NUM_STAGES**2 + 2,  # head, two conv3 a stage of a block, upscale and tail
    any_scale=True,
    source="Ahn et al. 2018, arXiv:1803.08664",
    download=Download("nmhkahn/CARN-pytorch", "MIT"),
)


class DISP(nn.Module):
    """Head conv, blocks and a 1x1 with a long skip, conv to 3 s^2 channels, pixel shuffle."""

    def __init__(self, scale: int, num_channels: int = 32, num_blocks: int = 4) -> None:
        super().__init__()
        self.head = conv(3, num_channels)
        blocks = (
            Residual(*repeated(NUM_CONVS, lambda: (conv(num_channels, num_channels), nn.SiLU())))
            for _ in range(num_blocks)
        )
        self.body = nn.Sequential(*blocks)
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
SPECS = (
    BASELINE,
    replace(
        BASELINE,
        name="edsr",
        build=lambda scale: EDSR(scale, num_channels=256, num_blocks=32, residual_scale=0.1),
        halo_px=lambda scale: 1 + 2 * 32 + 1 + 2,
    ),
    MODIFIED,
    CARN_M,
    DISP_32,
)
