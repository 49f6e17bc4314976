"""What a network's channels mean: planes, windows and pictures become its input, its output planes, codes and pictures.

Planes as tensors are float (N, h, w) in code values / (255 << depth - 8), so that 128 is the same number at every depth;
`layout` is a y4m header's (sub_x, sub_y, siting), sub_x 0 for mono. RGB is BT.601 studio, unclipped. Input and output
are `Tensors`: one for luma and RGB; planes of different sizes would be one each, with as many going out as come in. A
network names one of the objects below in its spec; nothing else in the kit asks which one it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from youku.video import color, resize

Layout = tuple[int, int, str]
Plane = TypeVar("Plane")
Tensors = tuple[Tensor, ...]
"""What crosses the model border at once: (N, C, h, w) each, of the picture's size, of a multiple, or subsampled."""


@dataclass(frozen=True)
class Luma:
    """Y alone; what is missing of a frame (its chroma) is interpolated."""

    name: str = "y"
    """As shown to the user."""
    channels: int = 1
    """Of one frame, in and out."""

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        """The planes of a frame that the network looks at."""
        return tuple(planes[:1])

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        """Planes (N, h, w) to network input."""
        return (planes[0][:, None],)  # (N, H, W) -> (N, 1, H, W)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        """Network output to float planes (N, h, w): the first ones of the layout, as many as it knows."""
        return [output[0][:, 0]]  # (N, 1, H, W) -> (N, H, W)

    def from_rgb(self, rgb: Tensor) -> Tensors:
        """Pictures (N, 3, H, W) in [0, 1] to network input."""
        return (color.rgb_to_yuv444(rgb)[:, :1],)

    def from_picture(self, low: np.ndarray) -> Tensors:
        """A uint8 RGB picture (h, w, 3), or float luma (h, w) in code values, to network input as MATLAB converts it."""
        luma = np.ascontiguousarray(low if low.ndim == 2 else color.luma_of_picture(low))
        return (torch.from_numpy(luma)[None, None].float() / 255,)  # (h, w) in 0-255 -> (1, 1, h, w) in [0, 1]

    def to_picture(self, output: Tensors, low: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(luma, rgb) of the output for `low`: float (H, W) in 0-255 as rounded when shipped, and uint8 (H, W, 3)."""
        luma = _exact(output[0][0])  # (1, H, W) in [0, 1]
        codes = resize.to_integers(luma[0] * 255).astype(np.float64)
        if low.ndim == 2:
            return codes, None
        yuv = color.rgb_to_yuv444(np.moveaxis(low, -1, 0).astype(np.float64) / 255)  # (3, h, w)
        chroma = resize.resize(yuv[1:], *luma.shape[1:])  # (2, H, W): bicubic
        return codes, _to_rgb_codes(color.yuv444_to_rgb(np.concatenate([luma, chroma])))

    def coded(self, matrix: str, full_range: bool) -> Luma:
        """The same for frames coded by another matrix and range; luma is taken as it is."""
        return self

    def to_full_range(self, x: Tensor) -> Tensor:
        """Network input or target as full-range video would hold it: 16-235 stretched to 0-255, where it is luma."""
        return (x * 255 - 16) / 219


@dataclass(frozen=True)
class Rgb:
    """R'G'B', by the same calls as luma; chroma is brought to luma's size at its siting, and back."""

    name: str = "rgb"
    channels: int = 3
    matrix: str = "601"
    full_range: bool = False

    def needed(self, planes: Sequence[Plane]) -> tuple[Plane, ...]:
        return tuple(planes)

    def from_planes(self, planes: Sequence[Tensor], layout: Layout) -> Tensors:
        luma = planes[0]
        height, width = luma.shape[-2:]
        chroma = [color.upsample_chroma(plane, height, width, layout) for plane in planes[1:]]
        neutral = [torch.full_like(luma, 128 / 255)] * 2  # mono
        return (
            color.yuv444_to_rgb(torch.stack([luma, *(chroma or neutral)], dim=-3), self.matrix, self.full_range),
        )  # 3 x (N, H, W) -> (N, 3, H, W)

    def to_planes(self, output: Tensors, layout: Layout) -> list[Tensor]:
        yuv = color.rgb_to_yuv444(output[0], self.matrix, self.full_range)  # (N, 3, H, W)
        num_chroma = 2 if layout[0] else 0
        return [yuv[:, 0], *(color.downsample_chroma(yuv[:, 1 + index], layout) for index in range(num_chroma))]

    def from_rgb(self, rgb: Tensor) -> Tensors:
        return (rgb,)

    def from_picture(self, low: np.ndarray) -> Tensors:
        if low.ndim == 2:
            raise ValueError("works on RGB, here is luma alone; give a folder of pictures")
        planes = np.ascontiguousarray(np.moveaxis(low, -1, 0))
        return (torch.from_numpy(planes)[None].float() / 255,)  # (h, w, 3) in 0-255 -> (1, 3, h, w) in [0, 1]

    def to_picture(self, output: Tensors, low: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        rgb = _to_rgb_codes(_exact(output[0][0]))
        return color.luma_of_picture(rgb), rgb

    def coded(self, matrix: str, full_range: bool) -> Rgb:
        return replace(self, matrix=matrix, full_range=full_range)

    def to_full_range(self, x: Tensor) -> Tensor:
        return x


Colours = Luma | Rgb
Y = Luma()
RGB = Rgb()


def to_tensors(frames: Sequence[Sequence[np.ndarray]], depth: int, device: torch.device) -> list[Tensor]:
    """Stack the same plane of several frames: integers (h, w) to a list of float32 (N, h, w)."""
    stacked = []
    for planes in zip(*frames, strict=True):
        batch = torch.from_numpy(np.stack(planes).astype(np.float32 if depth > 8 else np.uint8, copy=False))
        stacked.append(batch.to(device, non_blocking=True).float() / _unit(depth))
    return stacked


def windows_to_input(
    windows: Sequence[Sequence[Sequence[np.ndarray]]],
    depth: int,
    layout: Layout,
    colours: Colours,
    device: torch.device,
) -> Tensors:
    """N windows of T frames, oldest first, to network input (N, T * C, H, W)."""
    by_place = []
    for frames in zip(*windows, strict=True):
        needed = [colours.needed(planes) for planes in frames]
        by_place.append(colours.from_planes(to_tensors(needed, depth, device), layout))
    return tuple(
        torch.cat(parts, dim=1) for parts in zip(*by_place, strict=True)
    )  # T of (N, C, H, W) -> (N, T C, H, W)


def to_codes(plane: Tensor, depth: int) -> np.ndarray:
    """Float plane to integers of a clip's depth: round half up, clip to the full range (never to 16-235)."""
    codes = (plane.float() * _unit(depth)).add_(0.5).clamp_(0, (1 << depth) - 0.5)  # the cast rounds down
    return codes.cpu().numpy().astype(np.uint8 if depth == 8 else np.uint16)


def _unit(depth: int) -> float:
    """The code value that becomes 1.0."""
    return float(255 << (depth - 8))


def _exact(output: Tensor) -> np.ndarray:
    return output.cpu().numpy().astype(np.float64)


def _to_rgb_codes(rgb: np.ndarray) -> np.ndarray:
    """(3, H, W) in [0, 1] to a uint8 picture (H, W, 3)."""
    return resize.to_integers(np.moveaxis(rgb, 0, -1) * 255)
