"""Cross the model border: integer planes of a frame <-> float tensors in a network's colours, at the planes' own siting.

Planes as tensors are float (N, h, w) in code values / (255 << depth - 8), so that 128 is the same number at every depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from youku.video import color
from youku.video.y4m import Header, Planes

Layout = tuple[int, int, str]


def unit(depth: int) -> float:
    """The code value that becomes 1.0."""
    return float(255 << (depth - 8))


def to_tensors(frames: Sequence[Planes], depth: int, device: torch.device) -> list[Tensor]:
    """Stack the same plane of several frames: list of float32 (N, h, w)."""
    stacked = []
    for planes in zip(*frames, strict=True):
        batch = torch.from_numpy(np.stack(planes).astype(np.float32 if depth > 8 else np.uint8, copy=False))
        stacked.append(batch.to(device, non_blocking=True).float() / unit(depth))
    return stacked


def to_model(planes: Sequence[Tensor], layout: Layout, colours: str) -> Tensor:
    """Planes (N, h, w) to network input (N, C, H, W); RGB is taken with the BT.601 studio matrix, unclipped."""
    luma = planes[0]
    if colours == "y":
        return luma[:, None]
    height, width = luma.shape[-2:]
    if len(planes) == 1:
        neutral = torch.full_like(luma, 128 / 255)
        chroma = [neutral, neutral]
    else:
        chroma = [color.upsample_chroma(plane, height, width, layout) for plane in planes[1:]]
    return color.yuv444_to_rgb(torch.stack([luma, *chroma], dim=-3))


def windows_to_model(
    windows: Sequence[Sequence[Planes]], depth: int, layout: Layout, colours: str, device: torch.device
) -> Tensor:
    """Windows of T frames, oldest first, to network input (N, T * C, H, W)."""
    by_place = []
    for frames in zip(*windows, strict=True):
        needed = [planes[:1] for planes in frames] if colours == "y" else frames
        by_place.append(to_model(to_tensors(needed, depth, device), layout, colours))
    return torch.cat(by_place, dim=1)


def to_planes(output: Tensor, layout: Layout, colours: str) -> list[Tensor]:
    """Network output (N, C, H, W) to float planes (N, h, w): luma alone for "y", all planes of the layout for "rgb"."""
    if colours == "y":
        return [output[:, 0]]
    yuv = color.rgb_to_yuv444(output)
    if layout[0] == 0:
        return [yuv[:, 0]]
    return [yuv[:, 0], *(color.downsample_chroma(yuv[:, channel], layout) for channel in (1, 2))]


def to_codes(plane: Tensor, header: Header) -> np.ndarray:
    """Float plane to integers of the clip's depth: round half up, clip to the full range (never to 16-235)."""
    codes = (plane.float() * unit(header.depth)).add_(0.5).clamp_(0, (1 << header.depth) - 0.5)
    return codes.cpu().numpy().astype(header.dtype)
