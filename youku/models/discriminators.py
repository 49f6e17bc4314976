"""Discriminators of SRGAN and EnhanceNet: is a full-size patch a photograph or a network's output?

(N, C, P, P) in [0, 1], P the patch side that the network was built for -> logits (N, 1), no sigmoid: the losses take
logits. Sources: Ledig et al. 2017, arXiv:1609.04802; Sajjadi et al. 2017, arXiv:1612.07919.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

SLOPE = 0.2
HIDDEN = 1024
SRGAN_LAYERS = ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2))
"""(channels, stride) after the first 64-channel convolution."""
ENHANCENET_WIDTHS = (32, 64, 128, 256, 512)
"""Each once with stride 1 and once with stride 2."""


class Discriminator(nn.Module):
    """Convolutions that shrink the side `shrink` times to `num_channels` maps, dense 1024, dense 1.

    ValueError unless `patch_px` is a multiple of `shrink`.
    """

    def __init__(self, name: str, patch_px: int, shrink: int, layers: Sequence[nn.Module], num_channels: int) -> None:
        super().__init__()
        if patch_px < shrink or patch_px % shrink:
            nearest_px = max(shrink, round(patch_px / shrink) * shrink)
            raise ValueError(
                f"{name} discriminator: expected full-size patches whose side is a multiple of {shrink}, got {patch_px}; "
                f"choose --patch-px so that patch side times scale is, for example, {nearest_px}"
            )
        self.patch_px = patch_px
        self.body = nn.Sequential(*layers)
        num_features = num_channels * (patch_px // shrink) ** 2
        dense = nn.Linear(num_features, HIDDEN), nn.LeakyReLU(SLOPE), nn.Linear(HIDDEN, 1)
        self.tail = nn.Sequential(nn.Flatten(), *dense)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if (height, width) != (self.patch_px, self.patch_px):
            raise ValueError(
                f"discriminator: built for full-size patches of {self.patch_px}x{self.patch_px}, got {width}x{height}; "
                "cut patches of that size, or build it for theirs"
            )
        return self.tail(self.body(x * 2 - 1))  # [-1, 1], the range of SRGAN's generator


def srgan(patch_px: int = 96, num_planes: int = 3, biases: str = "first") -> Discriminator:
    """conv3 + LeakyReLU, seven times conv3 + BN + LeakyReLU, dense 1024, dense 1.

    Convolution `biases`: "first" only, where no norm follows (23,563,649 parameters at 96 px, 38,243,713 at 128 px),
    "all" (23,565,505) or "none" (23,563,585). Patches of a multiple of 16 px.
    """
    if biases not in ("first", "all", "none"):
        raise ValueError(f"discriminator biases {biases!r}: expected first, all or none")
    layers: list[nn.Module] = [_conv(num_planes, 64, 1, biases != "none"), nn.LeakyReLU(SLOPE)]
    num_in = 64
    for num_out, stride in SRGAN_LAYERS:
        layers += [_conv(num_in, num_out, stride, biases == "all"), nn.BatchNorm2d(num_out), nn.LeakyReLU(SLOPE)]
        num_in = num_out
    return Discriminator("SRGAN", patch_px, 16, layers, num_in)


def enhancenet(patch_px: int = 128, num_planes: int = 3) -> Discriminator:
    """Ten times conv3 + LeakyReLU without norm, every second of stride 2, dense 1024, dense 1.

    13,102,881 parameters at 128 px. Patches of a multiple of 32 px.
    """
    layers: list[nn.Module] = []
    num_in = num_planes
    for width in ENHANCENET_WIDTHS:
        layers += [_conv(num_in, width, 1), nn.LeakyReLU(SLOPE), _conv(width, width, 2), nn.LeakyReLU(SLOPE)]
        num_in = width
    return Discriminator("EnhanceNet", patch_px, 32, layers, num_in)


def _conv(num_in: int, num_out: int, stride: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(num_in, num_out, 3, stride=stride, padding=1, bias=bias)


DISCRIMINATORS: dict[str, Callable[[int, int], nn.Module]] = {"srgan": srgan, "enhancenet": enhancenet}
"""By the name that --discriminator takes: (patch side, planes) -> network."""
