"""Cross the model border: integer planes of a frame <-> float tensors in a network's colours, at the planes' own siting.

Planes as tensors are float (N, h, w) in code values / (255 << depth - 8), so that 128 is the same number at every depth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from youku.models.colours import Colours, Layout
from youku.video.y4m import Header, Planes


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


def windows_to_model(
    windows: Sequence[Sequence[Planes]], depth: int, layout: Layout, colours: Colours, device: torch.device
) -> Tensor:
    """Windows of T frames, oldest first, to network input (N, T * C, H, W)."""
    by_place = []
    for frames in zip(*windows, strict=True):
        needed = [colours.needed(planes) for planes in frames]
        by_place.append(colours.from_planes(to_tensors(needed, depth, device), layout))
    return torch.cat(by_place, dim=1)


def to_codes(plane: Tensor, header: Header) -> np.ndarray:
    """Float plane to integers of the clip's depth: round half up, clip to the full range (never to 16-235)."""
    codes = (plane.float() * unit(header.depth)).add_(0.5).clamp_(0, (1 << header.depth) - 0.5)
    return codes.cpu().numpy().astype(header.dtype)
