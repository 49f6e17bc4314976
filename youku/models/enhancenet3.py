"""The old-film report's three-frame EnhanceNet: neighbours enter through the head, the skip is the middle frame.

(N, 9, H, W), three RGB frames in [0, 1] oldest first, neighbours compensated to the middle -> (N, 3, s H, s W). "Combined
two by two": the pairs (t - 1, t) and (t, t + 1) go through a 3x3 convolution of 32 channels each, joined to 64 for
EnhanceNet's body. Learnable parameters x2 / x4: pair heads 817,667 / 854,595, one shared head 815,907 / 852,835, all
frames stacked into one convolution 819,395 / 856,323. Source: old-film restoration report, section 4.7; the split of the
64 channels is our reading of it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from youku.models.blocks import conv
from youku.models.enhancenet import ENHANCENET, EnhanceNet

NUM_PLANES = 3
NUM_FRAMES = 3


class PairHead(nn.Module):
    """conv3(cat(t - 1, t)) and conv3(cat(t, t + 1)), half of the channels each, then ReLU."""

    def __init__(self, num_channels: int = 64) -> None:
        super().__init__()
        self.before = conv(2 * NUM_PLANES, num_channels // 2, 3)
        self.after = conv(2 * NUM_PLANES, num_channels // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        past, middle, future = x.split(NUM_PLANES, dim=1)
        features = [self.before(torch.cat([past, middle], dim=1)), self.after(torch.cat([middle, future], dim=1))]
        return torch.relu(torch.cat(features, dim=1))


class SharedPairHead(nn.Module):
    """One conv3 for both pairs, which sees (neighbour, middle) each time, then ReLU."""

    def __init__(self, num_channels: int = 64) -> None:
        super().__init__()
        self.pair = conv(2 * NUM_PLANES, num_channels // 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        past, middle, future = x.split(NUM_PLANES, dim=1)
        features = [self.pair(torch.cat([neighbour, middle], dim=1)) for neighbour in (past, future)]
        return torch.relu(torch.cat(features, dim=1))


class StackedHead(nn.Sequential):
    """conv3 over all frames at once, 9 -> 64 channels, then ReLU: plain early fusion."""

    def __init__(self, num_channels: int = 64) -> None:
        super().__init__(conv(NUM_FRAMES * NUM_PLANES, num_channels, 3), nn.ReLU())


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
SPECS = (
    PAIRS,
    replace(PAIRS, name="enhancenet-3frame-shared", build=lambda scale: EnhanceNet3(scale, SharedPairHead())),
    replace(PAIRS, name="enhancenet-3frame-concat", build=lambda scale: EnhanceNet3(scale, StackedHead())),
)
