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

from youku.models.blocks import Interpolate, Residual, add_branch, conv, cut, pixel_shuffle, start
from youku.models.colours import LEFT, YUV420, Tensors
from youku.models.spec import ModelSpec
from youku.video import color

START_STD = 1e-3  # of the last layer: training starts at the bases
KEPT_SHARE = 0.02  # of the branch's chain where trained kernels are gone on with


def conv_prelu(num_in: int, num_out: int) -> list[nn.Module]:
    """conv3 and PReLU with a slope a channel."""
    return [conv(num_in, num_out), nn.PReLU(num_out)]


class Bases(nn.Module):
    """The planes s times larger by interpolation, and chroma on the luma grid; nothing here learns."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.to_luma_grid = Interpolate(2, "bilinear", "replicate", 0.25)  # luma column j reads chroma j / 2
        self.luma_base = Interpolate(scale, "bicubic", "replicate")
        self.chroma_base = Interpolate(scale, "bicubic", "replicate", color.chroma_shift(LEFT, scale)[1])

    def on_grid(self, luma: Tensor, chroma: Tensor) -> Tensor:
        """(N, T, H, W) and (N, 2, ceil(H / 2), ceil(W / 2)) -> (N, T + 2, H, W) around 0."""
        return torch.cat([luma, cut(self.to_luma_grid(chroma), *luma.shape[-2:])], dim=1) - 0.5

    def forward(self, luma: Tensor, chroma: Tensor, detail: Tensor, chroma_detail: Tensor) -> Tensors:
        """What is missing of the bases added to them: luma's as (N, s^2, H, W), chroma's at its own size or beyond."""
        rows, columns = ((self.scale * side + 1) // 2 for side in luma.shape[-2:])  # up to s - 1 fewer than the base
        return (
            self.luma_base(luma) + pixel_shuffle(detail, self.scale),
            cut(self.chroma_base(chroma), rows, columns) + cut(chroma_detail, rows, columns),
        )  # bases in float32, so only the small details may be 16 bit


def last_layers(scale: int, num_channels: int) -> nn.ModuleDict:
    """Features (N, C, H, W) -> details: "planes" of luma and, where it has a whole factor over the grid, of chroma."""
    shuffled = 0 if scale % 2 else 2 * (scale // 2) ** 2  # chroma samples an input pixel
    last = {"planes": conv(num_channels, scale * scale + shuffled)}
    if not shuffled:
        last["chroma"] = nn.Conv2d(num_channels, 2 * scale * scale, 3, stride=2, padding=1)
    made = nn.ModuleDict(last)
    start(made, lambda weight: nn.init.normal_(weight, 0.0, START_STD))
    return made


def details(last: nn.ModuleDict, features: Tensor, scale: int) -> Tensors:
    """(N, s^2, H, W) of luma, not shuffled yet, and (N, 2, s H / 2, s W / 2), or a sample more, of chroma."""
    planes = last["planes"](features)  # (N, s^2 + 2 (s / 2)^2, H, W)
    if scale % 2:
        return planes, pixel_shuffle(last["chroma"](features), scale)
    return planes[:, : scale * scale], pixel_shuffle(planes[:, scale * scale :], scale // 2)


def residual_pairs(num_channels: int, num_blocks: int) -> nn.Sequential:
    """The body: x + PReLU(conv3(PReLU(conv3(x)))) a block."""
    return nn.Sequential(
        *(
            Residual(*conv_prelu(num_channels, num_channels), *conv_prelu(num_channels, num_channels))
            for _ in range(num_blocks)
        )
    )


class Pairs(nn.Module):
    """Head, residual pairs, one more convolution with a long skip, convolution to the planes' samples, pixel shuffles."""

    def __init__(self, scale: int, num_channels: int, num_blocks: int) -> None:
        super().__init__()
        self.bases = Bases(scale)
        self.head = nn.Sequential(*conv_prelu(3, num_channels))
        self.body = residual_pairs(num_channels, num_blocks)
        self.mid = nn.Sequential(*conv_prelu(num_channels, num_channels))
        self.upscale = last_layers(scale, num_channels)

    def forward(self, luma: Tensor, chroma: Tensor) -> Tensors:
        head = self.head(self.bases.on_grid(luma, chroma))
        features = self.mid(self.body(head)) + head
        return self.bases(luma, chroma, *details(self.upscale, features, self.bases.scale))


def branched(module: nn.Module, is_trained: bool) -> nn.Module:
    """The form that is trained: a collapsed branch beside the kernels of the blocks and of `mid`."""
    for name in ("body", "mid"):
        for layer in module.get_submodule(name).modules():
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
