"""CARN-M: what every stage makes is joined to all before it, inside the blocks and around them; grouped convolutions.

(N, 3, H, W) in [0, 1] -> (N, 3, s H, s W), not clipped. Learnable parameters: 414,787 whatever the scale, as one set of
weights has a tail for each of x2, x3 and x4; without the 2,755 biases 412,032, the 412 K of the paper. A block runs its
residual layers three times over.
Source: Ahn, Kang, Sohn 2018, "Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual Network",
arXiv:1803.08664.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from youku.models.blocks import FullPrecision, Residual, SubPixel, conv
from youku.models.colours import RGB
from youku.models.edsr import DIV2K_MEAN
from youku.models.spec import Download, ModelSpec

SCALES = (2, 3, 4)
NUM_STAGES = 3


def cascade(x: Tensor, stages: Sequence[nn.Module], joins: nn.ModuleList) -> Tensor:
    """Each stage sees a 1x1 with ReLU over the input and all that the stages before it made; so does who comes after."""
    found = seen = x
    for stage, join in zip(stages, joins, strict=True):
        found = torch.cat([found, stage(seen)], dim=1)
        seen = F.relu(join(found))
    return seen


def _joins(num_channels: int) -> nn.ModuleList:
    return nn.ModuleList(conv(number * num_channels, num_channels, 1) for number in range(2, NUM_STAGES + 2))


class Block(nn.Module):
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
        self.body = nn.ModuleList(Block(num_channels, groups) for _ in range(NUM_STAGES))
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
SPECS = (CARN_M,)
