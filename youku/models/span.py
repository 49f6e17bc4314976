"""SPAN: plain convolutions and attention without parameters, one pixel shuffle.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W) in [0, 1]; the first convolution sees 0-255 minus the DIV2K mean, the last
gives [0, 1] itself, as in the published weights. Learnable parameters at x4: 150,688 / 194,608 / 426,288 / 498,208 with
28 / 32 / 48 / 52 channels. The authors train each 3x3 of the head, the blocks and the middle as branches (1,840,488
parameters with 48 channels) and merge them afterwards: `branched=True` is that form, `reparameterised.merge_state` turns
its state dict into the plain one's. The networks of the table are plain and trained as they are.
Source: Wan et al. 2024, "Swift Parameter-free Attention Network for Efficient Super-Resolution", arXiv:2311.12770.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, conv
from youku.models.colours import RGB
from youku.models.edsr import DIV2K_MEAN
from youku.models.reparameterised import BranchedConv
from youku.models.spec import ModelSpec

Conv3 = Callable[[int, int], nn.Module]


def plain_conv(num_in: int, num_out: int) -> nn.Conv2d:
    """The 3x3 convolution of the merged form."""
    return conv(num_in, num_out, 3)


class Block(nn.Module):
    """Three convolutions with SiLU between; the result r gates itself: (r + x) * (sigmoid(r) - 1/2)."""

    def __init__(self, num_channels: int, conv3: Conv3) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3(num_channels, num_channels) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(the block's output, the activation after its first convolution)."""
        first = F.silu(self.convs[0](x))
        result = self.convs[2](F.silu(self.convs[1](first)))
        return (result + x) * (torch.sigmoid(result) - 0.5), first


class SPAN(nn.Module):
    """Head conv, six blocks, four features joined by a 1x1, conv to 3 s^2 channels, pixel shuffle.

    `branched` makes every 3x3 but the last a `BranchedConv`.
    """

    mean: Tensor

    def __init__(self, scale: int, num_channels: int, num_blocks: int = 6, branched: bool = False) -> None:
        super().__init__()
        conv3: Conv3 = BranchedConv if branched else plain_conv
        self.register_buffer("mean", torch.tensor(DIV2K_MEAN).view(1, 3, 1, 1), persistent=False)
        self.head = conv3(3, num_channels)
        self.blocks = nn.ModuleList(Block(num_channels, conv3) for _ in range(num_blocks))
        self.mid = conv3(num_channels, num_channels)
        self.join = conv(4 * num_channels, num_channels, 1)
        last = conv(num_channels, 3 * scale * scale, 3)
        with torch.no_grad():  # from 0-255 back to [0, 1]: an untrained network would start 255 times too loud
            last.weight /= 255
        self.upscale = nn.Sequential(FullPrecision(last), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        head = out = self.head((x - self.mean) * 255)
        outputs, firsts = [], []
        for block in self.blocks:
            out, first = block(out)
            outputs.append(out)
            firsts.append(first)
        return self.upscale(self.join(torch.cat([head, self.mid(out), outputs[0], firsts[-1]], dim=1)))


SPAN_48 = ModelSpec(
    name="span-48",
    build=lambda scale: SPAN(scale, num_channels=48),
    colours=RGB,
    halo_px=lambda scale: 1 + 6 * 3 + 1 + 1,
    source="Wan et al. 2024, arXiv:2311.12770",
)
SPECS = (
    replace(
        SPAN_48,
        name="span-28",
        build=lambda scale: SPAN(scale, num_channels=28),
        source=f"{SPAN_48.source}, as entered in NTIRE 2024",
    ),
    SPAN_48,
)
