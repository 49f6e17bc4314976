"""Enlarge or shrink the integer planes of a frame by 2, 3 or 4 without a network, chroma at its own siting.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `color.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end. Whole
planes go through products with small banded matrices: few calls, so that frames side by side do not wait for the interpreter.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from youku.video import color, resize
from youku.video.y4m import Header, Planes

if TYPE_CHECKING:
    import torch

BLOCK_PX = 8  # samples of the smaller side that make one block of rows, or one column of a product


def upscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame of a clip with `header`, `scale` times larger; sizes as in `scaled_header`."""
    return _resample(planes, header, scaled_header(header, scale), scale, kernel)


def upscale_chroma(planes: Planes, header: Header, scale: int) -> Planes:
    """U and V alone (nothing for mono), cut to the target's chroma size where the picture is odd."""
    return _resample(planes, header, scaled_header(header, scale), scale, "bicubic", first=1)


def upscale_chroma_on(planes: Sequence[torch.Tensor], header: Header, scale: int) -> list[torch.Tensor]:
    """`upscale_chroma` of integers (N, h, w) on their device, in code values to be rounded: float64, so without an error.

    Float32, as on the processor, rounds the other way now and then where a sample lies on a half.
    """
    shapes, shifts = scaled_header(header, scale).plane_shapes, color.chroma_shift(header.layout, scale)
    enlarged = []
    for plane, shape in zip(planes, shapes[1:], strict=True):
        sizes = zip(plane.shape[1:], shape, shifts, strict=True)
        rows, columns = (resize.matrix(*own, "bicubic", shift, scale, plane.device) for *own, shift in sizes)
        enlarged.append(rows @ plane.double() @ columns.T)  # (N, h, w) -> (N, s h, s w)
    return enlarged


def downscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame, `scale` times smaller, anti-aliased; width and height must be multiples of `scale`.

    `planes` may hold floats in code values (a blurred frame); what comes out has the header's depth and type.
    """
    if header.width % scale or header.height % scale:
        raise ValueError(f"{header.size}: expected multiples of {scale}; crop the clip first")
    target = header.resized(header.width // scale, header.height // scale)
    return _resample(planes, header, target, 1 / scale, kernel)


def scaled_header(header: Header, scale: int) -> Header:
    """The header of the enlarged clip: W and H times `scale`, every other token as it was."""
    return header.resized(header.width * scale, header.height * scale)


def _resample(planes: Planes, header: Header, target: Header, scale: float, kernel: str, first: int = 0) -> Planes:
    """The planes from `first` on, as large as in `target`."""
    shifts = color.chroma_shift(header.layout, scale)
    return tuple(
        _resample_plane(
            planes[index], target.plane_shapes[index], scale, kernel, shifts if index else (0.0, 0.0), header
        )
        for index in range(first, len(planes))
    )


def _resample_plane(
    plane: np.ndarray, shape: tuple[int, int], scale: float, kernel: str, shifts: tuple[float, float], header: Header
) -> np.ndarray:
    """(H, W) codes to `shape`, the pass that leaves less first; edges repeat."""
    import torch  # a second to load: only where a tensor is made

    (down, step, margin_y), (across, _, margin_x) = (resize.band(scale, kernel, shift, BLOCK_PX) for shift in shifts)
    rows, columns = (torch.from_numpy(matrix).float() for matrix in (down, across))
    (height, width), (tall, wide) = plane.shape, shape
    num_down, num_right = -(-tall // rows.shape[0]), -(-wide // columns.shape[0])  # blocks of the output
    below, beside = num_down * step - height + margin_y, num_right * step - width + margin_x
    padded = np.pad(plane, ((margin_y, max(below, 0)), (margin_x, max(beside, 0))), mode="edge")
    used = padded[: num_down * step + 2 * margin_y, : num_right * step + 2 * margin_x]
    x = torch.from_numpy(used.astype(np.float32, order="C"))  # (num step + 2 margin, n step + 2 margin)
    # weights sum to one: what is cut off after a half was added, where samples are few, is rounded half up
    if scale > 1:
        x = resize.filter_rows(resize.filter_columns(x, columns, step).add_(0.5), rows, step)
    else:
        x = resize.filter_columns(resize.filter_rows(x, rows, step).add_(0.5), columns, step)
    out, most = np.empty(shape, header.dtype), np.float32((1 << header.depth) - 0.5)
    np.clip(x.numpy()[:tall, :wide], np.float32(0), most, out=out, casting="unsafe")  # by runs that stay in the cache
    return out
