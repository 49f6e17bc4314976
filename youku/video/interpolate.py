"""Enlarge or shrink the integer planes of a frame by 2, 3 or 4 without a network, chroma at its own siting.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `color.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end, by
kernels.c where the package was built with a C compiler, else by products with banded matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from youku.video import color, resize
from youku.video.y4m import Header, Planes

if TYPE_CHECKING:
    import torch


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
        rows, columns = (resize.matrix(*of_axis, "bicubic", scale, plane.device) for of_axis in sizes)
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
    """(H, W) codes to `shape`; edges repeat."""
    axes = list(zip(plane.shape, shape, shifts, strict=True))  # rows, columns
    if resize.compiled:
        rows, columns = (resize.taps(*axis, kernel, scale) for axis in axes)
        out, dtype = np.empty(shape, header.dtype), plane.dtype if plane.dtype in (np.uint8, np.uint16) else np.float32
        whole = np.require(plane, dtype, ("C", "A"))  # frames of a map lie at any byte
        resize.compiled.resample(whole, *rows, *columns, out, (1 << header.depth) - 1)
        return out
    import torch  # a second to load: only where a tensor is made

    down, across = (resize.bands(*axis, kernel, scale) for axis in axes)
    x = torch.from_numpy(plane.astype(np.float32))
    if scale > 1:  # the pass that leaves less first
        made = resize.product(down, resize.product(across, x.T).T)
    else:
        made = resize.product(across, resize.product(down, x).T).T
    return resize.to_integers(made.numpy(), header.depth)
