"""What a network's channels mean: how planes of a frame, or a picture, become its input, and its output planes again.

Planes as tensors are float (N, h, w) in code values / (255 << depth - 8), so that 128 is the same number at every depth;
`layout` is a y4m header's (sub_x, sub_y, siting), sub_x 0 for mono. RGB is BT.601 studio, unclipped. A network names one
of the objects below in its spec; nothing else in the kit asks which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from youku.video import color

Layout = tuple[int, int, str]
Plane = TypeVar("Plane")


class Colours(Protocol):
    """The calls that luma and RGB answer alike."""

    @property
    def name(self) -> str:
        """As shown to the user."""

    @property
    def channels(self) -> int:
        """Channels of one frame, in and out."""

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        """The planes of a frame that the network looks at."""

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensor:
        """Planes (N, h, w) to network input (N, C, H, W)."""

    def to_planes(self, output: Tensor, layout: Layout) -> list[Tensor]:
        """Network output (N, C, H, W) to float planes (N, h, w): the first ones of the layout, as many as it knows."""

    def from_rgb(self, rgb: Tensor) -> Tensor:
        """A picture (N, 3, H, W) in [0, 1] to network input (N, C, H, W)."""

    def to_full_range(self, x: Tensor) -> Tensor:
        """Network input or target as full-range video would hold it: 16-235 stretched to 0-255, where it is luma."""


@dataclass(frozen=True)
class Luma:
    """Y alone; what is missing of a frame (its chroma) is interpolated."""

    name: str = "y"
    channels: int = 1

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(planes[:1])

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensor:
        return planes[0][:, None]  # (N, H, W) -> (N, 1, H, W)

    def to_planes(self, output: Tensor, layout: Layout) -> list[Tensor]:
        return [output[:, 0]]

    def from_rgb(self, rgb: Tensor) -> Tensor:
        return color.rgb_to_yuv444(rgb)[:, :1]

    def to_full_range(self, x: Tensor) -> Tensor:
        return (x * 255 - 16) / 219


@dataclass(frozen=True)
class Rgb:
    """R'G'B'; chroma is brought to luma's size at its siting, and back."""

    name: str = "rgb"
    channels: int = 3

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(planes)

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensor:
        luma = planes[0]  # (N, H, W)
        height, width = luma.shape[-2:]
        chroma = [color.upsample_chroma(plane, height, width, layout) for plane in planes[1:]]
        neutral = [torch.full_like(luma, 128 / 255)] * 2  # mono
        return color.yuv444_to_rgb(torch.stack([luma, *(chroma or neutral)], dim=-3))  # (N, 3, H, W)

    def to_planes(self, output: Tensor, layout: Layout) -> list[Tensor]:
        yuv = color.rgb_to_yuv444(output)  # (N, 3, H, W)
        num_chroma = 2 if layout[0] else 0
        return [yuv[:, 0], *(color.downsample_chroma(yuv[:, 1 + index], layout) for index in range(num_chroma))]

    def from_rgb(self, rgb: Tensor) -> Tensor:
        return rgb

    def to_full_range(self, x: Tensor) -> Tensor:
        return x


Y = Luma()
RGB = Rgb()
