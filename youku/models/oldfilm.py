"""The old-film report's own X2 and X4 networks (its table 4.9.3), and the variants that it compares.

(N, C, H, W) -> (N, C, s H, s W) in [0, 1]. out = bicubic(in) + conv(CBR(up2(blocks(conv(in))))), a further up2 and CBR
at x4; CBR = conv3, BN, ReLU; up2 = nearest neighbour. Learnable parameters x2 / x4: luma 1,224,065 / 1,261,121, RGB
1,226,371 / 1,263,427; without biases 1,221,888 / 1,258,880 and 1,224,192 / 1,261,184. The report's skip spans two
sizes without saying how it is enlarged: bicubic, as in EnhanceNet, is our reading.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from youku.models.blocks import Interpolate, Residual, ResizeConv, before_resize_conv, conv
from youku.models.colours import RGB, Y
from youku.models.spec import ModelSpec

NUM_CHANNELS = 64
MID_GREY = 0.5
"""The report's zero-mean input: subtracted first, so that zero padding is mid-grey."""


def residual_block(order: str, bias: bool = True, batch_norm: bool = True, residual_scale: float = 1.0) -> nn.Module:
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
        self.body = nn.Sequential(*(residual_block(order, bias, batch_norm, residual_scale) for _ in range(num_blocks)))
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
    LUMA,
    replace(LUMA, name="oldfilm-rgb", build=lambda scale: OldFilm(scale, num_planes=3), colours=RGB),
    replace(LUMA, name="oldfilm-scaled", build=lambda scale: OldFilm(scale, residual_scale=0.1)),
    replace(LUMA, name="oldfilm-nobn", build=lambda scale: OldFilm(scale, batch_norm=False)),
)
