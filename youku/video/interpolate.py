"""Enlarge or shrink the integer planes of a frame by 2, 3 or 4 without a network, chroma at its own siting.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `color.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from youku.video import color, resize
from youku.video.y4m import Header, Planes

if TYPE_CHECKING:  # a second to load: only where a tensor is made
    import torch

BLOCK_PX = 16


def upscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame of a clip with `header`, `scale` times larger; sizes as in `scaled_header`."""
    luma = _enlarge(planes[0][None], scale, kernel, (0.0, 0.0), header)[0]  # (H, W) -> (s H, s W)
    return luma, *upscale_chroma(planes, header, scale, kernel)


def upscale_chroma(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """U and V alone (nothing for mono), cut to the target's chroma size where the picture is odd."""
    if len(planes) == 1:
        return ()
    both = _enlarge(np.stack(planes[1:]), scale, kernel, color.chroma_shift(header.layout, scale), header)
    height, width = scaled_header(header, scale).plane_shapes[1]
    return tuple(np.ascontiguousarray(plane) for plane in both[:, :height, :width])


def downscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame, `scale` times smaller, anti-aliased; width and height must be multiples of `scale`."""
    import torch

    if header.width % scale or header.height % scale:
        raise ValueError(f"{header.width}x{header.height}: expected multiples of {scale}; crop the clip first")
    target = header.resized(header.width // scale, header.height // scale)
    chroma_shift = color.chroma_shift(header.layout, 1 / scale)
    out = []
    for index, (plane, (height, width)) in enumerate(zip(planes, target.plane_shapes, strict=True)):
        shifts = chroma_shift if index else (0.0, 0.0)
        values = torch.from_numpy(plane.astype(np.float32))
        small = resize.resize(
            values, height, width, kernel, "replicate", *shifts, 1 / scale
        )  # (H, W) -> (H / s, W / s)
        out.append(resize.to_integers(small.numpy(), header.depth))
    return tuple(out)


def scaled_header(header: Header, scale: int) -> Header:
    """The header of the enlarged clip: W and H times `scale`, every other token as it was."""
    return header.resized(header.width * scale, header.height * scale)


def _enlarge(planes: np.ndarray, scale: int, kernel: str, shifts: tuple[float, float], header: Header) -> np.ndarray:
    """(N, H, W) integers to (N, s H, s W): rows, then columns, each as one product with a small banded matrix.

    Sixteen input samples and their margin make one column of the product, so that dense matrix arithmetic does the
    work and the outputs come out in picture order (benchmarks/predict.py). Edges repeat.
    """
    import torch
    from torch.nn import functional as F

    rows, margin_y = _band(scale, kernel, shifts[0])
    columns, margin_x = _band(scale, kernel, shifts[1])
    num, height, width = planes.shape
    tall, wide = -(-height // BLOCK_PX) * BLOCK_PX, -(-width // BLOCK_PX) * BLOCK_PX
    margins = [margin_x, wide - width + margin_x, margin_y, tall - height + margin_y]
    padded = F.pad(torch.from_numpy(planes.astype(np.float32))[None], margins, mode="replicate")[0]
    line = padded.shape[2]
    blocks = padded.as_strided(
        (num, tall // BLOCK_PX, BLOCK_PX + 2 * margin_y, line), (padded.stride(0), BLOCK_PX * line, line, 1)
    )
    high = torch.matmul(rows, blocks).flatten(1, 2)[:, : scale * height].contiguous()  # (N, s H, line)
    groups = high.as_strided(
        (num * scale * height, wide // BLOCK_PX, BLOCK_PX + 2 * margin_x), (line, BLOCK_PX, 1)
    ).reshape(-1, BLOCK_PX + 2 * margin_x)
    codes = torch.addmm(torch.tensor(0.5), groups, columns.T).clamp_(0, (1 << header.depth) - 0.5)
    out = codes.view(num, scale * height, scale * wide)[:, :, : scale * width]
    return out.numpy().astype(header.dtype)


@lru_cache(maxsize=64)
def _band(scale: int, kernel: str, shift: float) -> tuple[torch.Tensor, int]:
    """(matrix, margin): (scale * BLOCK_PX, BLOCK_PX + 2 margin), one row an output sample of a block."""
    import torch

    phases, margin = resize.polyphase(scale, kernel, shift)
    matrix = np.zeros((scale * BLOCK_PX, BLOCK_PX + 2 * margin), np.float32)
    for at in range(BLOCK_PX):
        matrix[at * scale : (at + 1) * scale, at : at + phases.shape[1]] = phases
    return torch.from_numpy(matrix), margin
