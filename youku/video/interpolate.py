"""Enlarge or shrink the integer planes of a frame by 2, 3 or 4 without a network, chroma at its own siting.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `resize.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end.
"""

from __future__ import annotations

import numpy as np
import torch

from youku.video import resize
from youku.video.y4m import Header, Planes


def upscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame of a clip with `header`, `scale` times larger; sizes as in `scaled_header`."""
    return _scale(planes, header, scaled_header(header, scale), float(scale), kernel)


def downscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame, `scale` times smaller, anti-aliased; width and height must be multiples of `scale`."""
    if header.width % scale or header.height % scale:
        raise ValueError(f"{header.width}x{header.height}: expected multiples of {scale}; crop the clip first")
    target = header.resized(header.width // scale, header.height // scale)
    return _scale(planes, header, target, 1 / scale, kernel)


def scaled_header(header: Header, scale: int) -> Header:
    """The header of the enlarged clip: W and H times `scale`, every other token as it was."""
    return header.resized(header.width * scale, header.height * scale)


def _scale(planes: Planes, source: Header, target: Header, scale: float, kernel: str) -> Planes:
    sub_x, sub_y, siting = source.layout
    shift_y, shift_x = resize.chroma_shift(siting, scale)
    out = []
    for index, (plane, (height, width)) in enumerate(zip(planes, target.plane_shapes, strict=True)):
        rows = resize.weights(plane.shape[0], height, kernel, "replicate", shift_y if index and sub_y == 2 else 0.0, scale)
        columns = resize.weights(plane.shape[1], width, kernel, "replicate", shift_x if index and sub_x == 2 else 0.0, scale)
        values = torch.from_numpy(plane.astype(np.float32))
        scaled = resize.apply(resize.apply(values, *rows, axis=-2), *columns, axis=-1)
        out.append(resize.to_integers(scaled.numpy(), source.depth))
    return tuple(out)
