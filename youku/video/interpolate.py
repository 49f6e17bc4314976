"""Enlarge or shrink the integer planes of a frame by 2, 3 or 4 without a network, chroma at its own siting.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `resize.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional as F

from youku.video import resize
from youku.video.y4m import Header, Planes


def upscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame of a clip with `header`, `scale` times larger; sizes as in `scaled_header`."""
    return upscale_luma(planes[0], header, scale, kernel), *upscale_chroma(planes, header, scale, kernel)


def upscale_luma(plane: np.ndarray, header: Header, scale: int, kernel: str = "bicubic") -> np.ndarray:
    """The first plane alone."""
    return _enlarge(plane[None], scale, kernel, (0.0, 0.0), header)[0]


def upscale_chroma(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """U and V alone (nothing for mono), cut to the target's chroma size where the picture is odd."""
    if len(planes) == 1:
        return ()
    sub_x, sub_y, siting = header.layout
    shift_y, shift_x = resize.chroma_shift(siting, scale)
    shifts = (shift_y if sub_y == 2 else 0.0, shift_x if sub_x == 2 else 0.0)
    both = _enlarge(np.stack(planes[1:]), scale, kernel, shifts, header)
    height, width = scaled_header(header, scale).plane_shapes[1]
    return tuple(np.ascontiguousarray(plane) for plane in both[:, :height, :width])


def downscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame, `scale` times smaller, anti-aliased; width and height must be multiples of `scale`."""
    if header.width % scale or header.height % scale:
        raise ValueError(f"{header.width}x{header.height}: expected multiples of {scale}; crop the clip first")
    target = header.resized(header.width // scale, header.height // scale)
    sub_x, sub_y, siting = header.layout
    shift_y, shift_x = resize.chroma_shift(siting, 1 / scale)
    out = []
    for index, (plane, (height, width)) in enumerate(zip(planes, target.plane_shapes, strict=True)):
        shifts = (shift_y if index and sub_y == 2 else 0.0, shift_x if index and sub_x == 2 else 0.0)
        values = torch.from_numpy(plane.astype(np.float32))
        small = resize.resize(values, height, width, kernel, "replicate", *shifts, 1 / scale)
        out.append(resize.to_integers(small.numpy(), header.depth))
    return tuple(out)


def scaled_header(header: Header, scale: int) -> Header:
    """The header of the enlarged clip: W and H times `scale`, every other token as it was."""
    return header.resized(header.width * scale, header.height * scale)


def _enlarge(planes: np.ndarray, scale: int, kernel: str, shifts: tuple[float, float], header: Header) -> np.ndarray:
    """(N, H, W) integers to (N, s H, s W): one convolution to s^2 phases, rounding, then the phases woven together."""
    square, margins = _kernel(scale, kernel, *shifts)
    values = torch.from_numpy(planes.astype(np.float32))[:, None]
    padded = F.pad(values, [margins[1]] * 2 + [margins[0]] * 2, mode="replicate")
    half = torch.full((scale * scale,), 0.5)
    phases = F.conv2d(padded.contiguous(memory_format=torch.channels_last), square, half)  # (N, s^2, H, W) + 0.5
    return weave(phases, scale, header.depth)


def weave(phases: torch.Tensor, scale: int, depth: int) -> np.ndarray:
    """Clip phases (N, s^2, H, W) of code values + 0.5, cut to integers, shuffle to (N, s H, s W).

    Shuffling integers moves a quarter of the bytes that shuffling floats would.
    """
    num, _, height, width = phases.shape
    dtype = torch.uint8 if depth == 8 else torch.int32
    whole = phases.clamp_(0, (1 << depth) - 0.5).permute(0, 2, 3, 1).to(dtype)
    rows = whole.contiguous().numpy().reshape(num, height, width, scale, scale)
    if depth == 8 and scale == 4:  # four neighbours of a row move as one word
        woven = np.ascontiguousarray(rows.view(np.uint32)[..., 0].transpose(0, 1, 3, 2)).view(np.uint8)
    else:
        woven = np.ascontiguousarray(rows.transpose(0, 1, 3, 2, 4))
    return woven.reshape(num, height * scale, width * scale).astype(np.uint8 if depth == 8 else np.uint16, copy=False)


@lru_cache(maxsize=64)
def _kernel(scale: int, kernel: str, shift_y: float, shift_x: float) -> tuple[torch.Tensor, tuple[int, int]]:
    rows, margin_y = resize.polyphase(scale, kernel, shift_y)
    columns, margin_x = resize.polyphase(scale, kernel, shift_x)
    square = np.einsum("ay,bx->abyx", rows, columns).reshape(scale * scale, 1, rows.shape[1], columns.shape[1])
    return torch.from_numpy(square.astype(np.float32)), (margin_y, margin_x)
