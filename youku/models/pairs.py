"""Pairs T, S, M, L: residual pairs with PReLU at low resolution, Y'CbCr 4:2:0 in and out, one pixel shuffle.

(N, 1, H, W) and (N, 2, ceil(H / 2), ceil(W / 2)) in [0, 1] -> the same s times larger, not clipped. The network adds
what bicubic bases lack, chroma's at its left siting. Learnable parameters at x4, T / S / M / L: 42,528 / 91,384 /
365,928 / 644,568. x2 and x4 shuffle chroma out of the luma grid; at x3 chroma has no whole factor over it, and comes
from a convolution of stride 2. The table's networks are plain; in training the 3x3 of the blocks and the last one have
a collapsed branch (`blocks.CollapsedBranch`), which is worth 0.07 to 0.2 dB in short training.
Source: this kit's own, after SRVGGNetCompact (models/srvgg.py), ECBSR [Zhang et al. 2021] and EDSR; bases and phases as
`video.interpolate` makes them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import Interpolate, Residual, add_branch, conv, cut
from youku.models.colours import LEFT, YUV420, Tensors
from youku.models.spec import ModelSpec
from youku.video import color

START_STD = 1e-3  # of the last layer: training starts at the bases
KEPT_SHARE = 0.02  # of the branch's chain where trained kernels are gone on with


def conv_prelu(num_in: int, num_out: int) -> list[nn.Module]:
    """conv3 and PReLU with a slope a channel."""
    return [conv(num_in, num_out), nn.PReLU(num_out)]


class Pairs(nn.Module):
    """Head, residual pairs, one more convolution with a long skip, convolution to the planes' samples, pixel shuffles."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.scale = scale
        self.to_luma_grid = Interpolate(2, "bilinear", "replicate", 0.25)  # luma column j reads chroma j / 2
        self.luma_base = Interpolate(scale, "bicubic", "replicate")
        self.chroma_base = Interpolate(scale, "bicubic", "replicate", color.chroma_shift(LEFT, scale)[1])
        self.head = nn.Sequential(*conv_prelu(3, num_channels))
        self.body = nn.Sequential(
            *(
                Residual(*conv_prelu(num_channels, num_channels), *conv_prelu(num_channels, num_channels))
                for _ in range(num_blocks)
            )
        )
        self.mid = nn.Sequential(*conv_prelu(num_channels, num_channels))
        shuffled = 0 if scale % 2 else 2 * (scale // 2) ** 2  # chroma samples an input pixel
        last = {"planes": conv(num_channels, scale * scale + shuffled)}
        if not shuffled:
            last["chroma"] = nn.Conv2d(num_channels, 2 * scale * scale, 3, stride=2, padding=1)
        for layer in last.values():
            nn.init.normal_(layer.weight, 0.0, START_STD)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.upscale = nn.ModuleDict(last)

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensors:
        (height, width), scale = luma.shape[-2:], self.scale
        on_grid = cut(self.to_luma_grid(chroma), height, width)  # (N, 2, H, W)
        head = self.head(torch.cat([luma, on_grid], dim=1) - 0.5)
        features = self.mid(self.body(head)) + head
        detail = self.upscale["planes"](features)  # (N, s^2 + 2 (s / 2)^2, H, W)
        if scale % 2:
            chroma_detail = F.pixel_shuffle(self.upscale["chroma"](features), scale)
        else:
            chroma_detail = F.pixel_shuffle(detail[:, scale * scale :], scale // 2)
        rows, columns = (
            (scale * height + 1) // 2,
            (scale * width + 1) // 2,
        )  # of chroma, up to s - 1 fewer than its base
        return (
            self.luma_base(luma) + F.pixel_shuffle(detail[:, : scale * scale], scale),
            cut(self.chroma_base(chroma), rows, columns) + cut(chroma_detail, rows, columns),
        )  # bases in float32, so only the small details may be 16 bit


def branched(module: nn.Module, is_trained: bool) -> nn.Module:
    """The form that is trained: a collapsed branch beside the kernels of the blocks and of `mid`."""
    assert isinstance(module, Pairs)
    for layer in [*module.body.modules(), *module.mid.modules()]:
        if isinstance(layer, nn.Conv2d):
            add_branch(layer, KEPT_SHARE if is_trained else 1.0)
    return module


SIZES = {"t": (24, 3), "s": (32, 4), "m": (48, 8), "l": (64, 8)}


def spec_of(num_channels: int, num_blocks: int) -> ModelSpec:
    """The spec of those sizes, named by the letter that they have in SIZES."""
    letters = [letter for letter, sizes in SIZES.items() if sizes == (num_channels, num_blocks)]
    return ModelSpec(
        name=f"pairs-{letters[0] if letters else f'{num_channels}-{num_blocks}'}",
        build=lambda scale: Pairs(scale, num_channels, num_blocks),
        colours=YUV420,
        halo_px=lambda scale: 1 + 2 * num_blocks + 2 + 2,  # head, two conv3 a block, mid and upscale; chroma's 2
        train_form=branched,
        source="this kit, after arXiv:2107.10833 and 1707.02921",
    )


SPECS = tuple(spec_of(*sizes) for sizes in SIZES.values())
