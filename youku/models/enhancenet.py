"""EnhanceNet, and the old-film report's networks after it: residual blocks and resize-convolutions, added to bicubic(x).

(N, C, H, W) -> (N, C, s H, s W) in [0, 1]. Learnable parameters x2 / x4:

- EnhanceNet: RGB 815,939 / 852,867, luma 813,633 / 850,561; batch norm in the blocks, as in the old-film report, adds
  2,560. Source: Sajjadi, Schoelkopf, Hirsch 2017, arXiv:1612.07919.
- Three frames: (N, 9, H, W), RGB oldest first, neighbours compensated to the middle, enter through the head; the skip is
  the middle frame. "Combined two by two": the pairs (t - 1, t) and (t, t + 1) go through a 3x3 convolution of 32 channels
  each, joined to 64 for EnhanceNet's body. Pair heads 817,667 / 854,595, one shared head 815,907 / 852,835, all frames
  stacked into one convolution 819,395 / 856,323. Source: old-film restoration report, section 4.7; the split of the 64
  channels is our reading of it.
- The report's own X2 and X4 (its table 4.9.3), and the variants that it compares: out = bicubic(in) +
  conv(CBR(up2(blocks(conv(in))))), a further up2 and CBR at x4; CBR = conv3, BN, ReLU; up2 = nearest neighbour. Luma
  1,224,065 / 1,261,121, RGB 1,226,371 / 1,263,427; without biases 1,221,888 / 1,258,880 and 1,224,192 / 1,261,184. The
  report's skip spans two sizes without saying how it is enlarged: bicubic, as in EnhanceNet, is our reading.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import Interpolate, Residual, ResizeConv, before_resize_conv, conv, residual_block
from youku.models.colours import RGB, Y
from youku.models.spec import ModelSpec

NUM_CHANNELS = 64
NUM_PLANES, NUM_FRAMES = 3, 3  # of the networks of three frames
MID_GREY = 0.5
"""Subtracted from the input, so that zero padding is mid-grey: the report's zero-mean input. EnhanceNet's paper subtracts
a data mean."""


class EnhanceNet(nn.Module):
    """conv3, 10 blocks (no long skip of features), resize-convolutions, conv3, conv3; plus bicubic(x)."""

    def __init__(self, scale: int, num_planes: int = 3, batch_norm: bool = False, num_blocks: int = 10) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.head = nn.Sequential(conv(num_planes, NUM_CHANNELS, 3), nn.ReLU())
        norm = nn.BatchNorm2d if batch_norm else None
        self.body = nn.Sequential(*(residual_block(NUM_CHANNELS, nn.ReLU(), norm) for _ in range(num_blocks)))
        self.upscale = ResizeConv(NUM_CHANNELS, scale)
        self.tail = nn.Sequential(conv(NUM_CHANNELS, NUM_CHANNELS, 3), nn.ReLU(), conv(NUM_CHANNELS, num_planes, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarge(x) + self.residual(x)  # the sum is float32

    def residual(self, x: Tensor) -> Tensor:
        """(N, C, s H, s W): what is added to the enlarged picture."""
        return self.tail(self.upscale(self.body(self.head(x - MID_GREY))))


ENHANCENET = ModelSpec(
    name="enhancenet",
    build=EnhanceNet,
    colours=RGB,
    scales=(2, 4),
    halo_px=before_resize_conv(1 + 2 * 10, 2),
    source="Sajjadi et al. 2017, arXiv:1612.07919",
)


class PairHead(nn.Module):
    """conv3(cat(t - 1, t)) and conv3(cat(t, t + 1)), half of the channels each, then ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.before = conv(2 * NUM_PLANES, NUM_CHANNELS // 2, 3)
        self.after = conv(2 * NUM_PLANES, NUM_CHANNELS // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        past, middle, future = x.split(NUM_PLANES, dim=1)
        features = [self.before(torch.cat([past, middle], dim=1)), self.after(torch.cat([middle, future], dim=1))]
        return torch.relu(torch.cat(features, dim=1))


class SharedPairHead(nn.Module):
    """One conv3 for both pairs, which sees (neighbour, middle) each time, then ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = conv(2 * NUM_PLANES, NUM_CHANNELS // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        past, middle, future = x.split(NUM_PLANES, dim=1)
        features = [self.pair(torch.cat([neighbour, middle], dim=1)) for neighbour in (past, future)]
        return torch.relu(torch.cat(features, dim=1))


def stacked_head() -> nn.Sequential:
    """conv3 over all frames at once, 9 -> 64 channels, then ReLU: plain early fusion."""
    return nn.Sequential(conv(NUM_FRAMES * NUM_PLANES, NUM_CHANNELS, 3), nn.ReLU())


class EnhanceNet3(EnhanceNet):
    """EnhanceNet behind another head; bicubic of the middle frame is added to its residual."""

    def __init__(self, scale: int, head: nn.Module) -> None:
        super().__init__(scale, NUM_PLANES)
        self.head = head  # type: ignore[assignment]

    def forward(self, x: Tensor) -> Tensor:
        middle = x[:, NUM_PLANES : 2 * NUM_PLANES]  # (N, 9, H, W) -> (N, 3, H, W)
        return self.enlarge(middle) + self.residual(x)


PAIRS = replace(
    ENHANCENET,
    name="enhancenet-3frame",
    build=lambda scale: EnhanceNet3(scale, PairHead()),
    num_frames=NUM_FRAMES,
    aligned=True,
    source="old-film restoration report, section 4.7",
)


def oldfilm_block(order: str, bias: bool = True, batch_norm: bool = True, residual_scale: float = 1.0) -> nn.Module:
    """A block in one of the orders of the report's figure 3.1.2 [He et al. 2016, arXiv:1603.05027, figure 4].

    "bn before add": conv BN ReLU conv BN + x, the report's; "relu after add": that and a ReLU, the first ResNet's;
    "bn after add": conv BN ReLU conv + x, BN, ReLU; "pre-activation": BN ReLU conv BN ReLU conv + x.
    """

    def filtered() -> nn.Module:
        return conv(NUM_CHANNELS, NUM_CHANNELS, 3, bias)

    def norm() -> nn.Module:
        return nn.BatchNorm2d(NUM_CHANNELS) if batch_norm else nn.Identity()

    def branch(*layers: nn.Module) -> Residual:
        block = Residual(scale=residual_scale)
        block.add_module("branch", nn.Sequential(*layers))  # its name in weights files
        return block

    first = [filtered(), norm(), nn.ReLU(), filtered()]
    if order == "bn before add":
        return branch(*first, norm())
    if order == "relu after add":
        return nn.Sequential(branch(*first, norm()), nn.ReLU())
    if order == "bn after add":
        return nn.Sequential(branch(*first), norm(), nn.ReLU())
    if order == "pre-activation":
        return branch(norm(), nn.ReLU(), *first)
    raise ValueError(
        f"residual order {order!r}: expected bn before add, relu after add, bn after add or pre-activation"
    )


class OldFilm(nn.Module):
    """conv3, 16 residual blocks, resize-convolutions with BN, conv3; plus bicubic(x)."""

    def __init__(
        self,
        scale: int,
        num_planes: int = 1,
        bias: bool = True,
        batch_norm: bool = True,
        residual_scale: float = 1.0,
        order: str = "bn before add",
        num_blocks: int = 16,
    ) -> None:
        super().__init__()
        self.enlarge = Interpolate(scale)
        self.head = conv(num_planes, NUM_CHANNELS, 3, bias)
        self.body = nn.Sequential(*(oldfilm_block(order, bias, batch_norm, residual_scale) for _ in range(num_blocks)))
        self.upscale = ResizeConv(NUM_CHANNELS, scale, batch_norm, bias)
        self.tail = conv(NUM_CHANNELS, num_planes, 3, bias)

    def forward(self, x: Tensor) -> Tensor:
        residual = self.tail(self.upscale(self.body(self.head(x - MID_GREY))))
        return self.enlarge(x) + residual  # the sum is float32


LUMA = ModelSpec(
    name="oldfilm",
    build=OldFilm,
    colours=Y,
    scales=(2, 4),
    halo_px=before_resize_conv(1 + 2 * 16, 1),
    source="old-film restoration report, table 4.9.3",
)
SPECS = (
    ENHANCENET,
    replace(ENHANCENET, name="enhancenet-y", build=lambda scale: EnhanceNet(scale, num_planes=1), colours=Y),
    PAIRS,
    replace(PAIRS, name="enhancenet-3frame-shared", build=lambda scale: EnhanceNet3(scale, SharedPairHead())),
    replace(PAIRS, name="enhancenet-3frame-concat", build=lambda scale: EnhanceNet3(scale, stacked_head())),
    LUMA,
    replace(LUMA, name="oldfilm-rgb", build=lambda scale: OldFilm(scale, num_planes=3), colours=RGB),
    replace(LUMA, name="oldfilm-scaled", build=lambda scale: OldFilm(scale, residual_scale=0.1)),
    replace(LUMA, name="oldfilm-nobn", build=lambda scale: OldFilm(scale, batch_norm=False)),
)
