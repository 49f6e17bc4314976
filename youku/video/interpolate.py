"""Enlarge or shrink the integer planes of a frame without a network, chroma at its own siting: by 2, 3, 4, or to any size.

`upscale` is the kit's bicubic baseline; every network that predicts luma alone takes its chroma from here.
Source: the phase rule of `color.chroma_shift`. Planes in, planes out; float32 inside, one rounding at the end, by
kernels.c where the package was built with a C compiler, else by products with banded matrices.

`fit` brings frames of a network's own factor to what `--size` and a broken `--scale` ask for. The aspect is kept: the
picture is as large as fits inside the size, its sides whole chroma samples (even for 4:2:0).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from youku.video import color, resize
from youku.video.y4m import Header, Planes
from youku.video.y4m_header import MAX_SIDE_PX

if TYPE_CHECKING:
    import torch

Size = tuple[int, int] | Fraction
"""A box (width, height) to fit in, or a factor."""


def upscale(planes: Planes, header: Header, scale: int, kernel: str = "bicubic") -> Planes:
    """Planes of one frame of a clip with `header`, `scale` times larger; sizes as in `scaled_header`."""
    return fit(planes, header, scaled_header(header, scale), kernel)


def upscale_chroma(planes: Planes, header: Header, scale: int) -> Planes:
    """U and V alone (nothing for mono), cut to the target's chroma size where the picture is odd."""
    return fit(planes, header, scaled_header(header, scale), first=1)


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
    return fit(planes, header, target, kernel)


def scaled_header(header: Header, scale: int) -> Header:
    """The header of the enlarged clip: W and H times `scale`, every other token as it was."""
    return header.resized(header.width * scale, header.height * scale)


def fit(planes: Planes, header: Header, target: Header, kernel: str = "bicubic", first: int = 0) -> Planes:
    """Planes from `first` on of a frame with `header`, as large as `target` says: anti-aliased where it shrinks."""
    scales = target.height / header.height, target.width / header.width
    down, across = (color.chroma_shift(header.layout, scale)[axis] for axis, scale in enumerate(scales))
    made = []
    for index in range(first, len(planes)):
        plane, shifts = planes[index], (down, across) if index else (0.0, 0.0)
        sizes = zip(plane.shape, target.plane_shapes[index], shifts, scales, strict=True)
        made.append(_resample(plane, [(*one, kernel, scale) for *one, scale in sizes], header))
    return tuple(made)


def _resample(plane: np.ndarray, axes: list[tuple[int, int, float, str, float]], header: Header) -> np.ndarray:
    """(H, W) codes, its rows and columns as `resize.weights` makes them; edges repeat."""
    if resize.compiled:
        rows, columns = (resize.taps(*axis) for axis in axes)
        dtype = plane.dtype if plane.dtype in (np.uint8, np.uint16) else np.float32
        out = np.empty([size for _, size, *_ in axes], header.dtype)
        whole = np.require(plane, dtype, ("C", "A"))  # frames of a map lie at any byte
        resize.compiled.resample(whole, *rows, *columns, out, (1 << header.depth) - 1)
        return out
    import torch  # a second to load: only where a tensor is made

    down, across = (resize.bands(*axis) for axis in axes)
    x = torch.from_numpy(plane.astype(np.float32))
    if axes[0][-1] > 1:  # the pass that leaves less first
        made = resize.product(down, resize.product(across, x.T).T)
    else:
        made = resize.product(across, resize.product(down, x).T).T
    return resize.to_integers(made.numpy(), header.depth)


def parse_size(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (2 <= width <= MAX_SIDE_PX and 2 <= height <= MAX_SIDE_PX):
        raise ValueError(f"--size {text}: expected WIDTHxHEIGHT such as 3840x2160, each from 2 to {MAX_SIDE_PX}")
    return width, height


def parse_scale(text: str) -> Fraction:
    """A positive number; a whole one is a network's factor."""
    if not re.fullmatch(r"\d{1,2}(\.\d{1,4})?", text) or not Fraction(text):
        raise ValueError(f"--scale {text}: expected a factor such as 2, 4 or 1.5")
    return Fraction(text)


def factor_of(header: Header, size: Size) -> Fraction:
    """How much larger the picture becomes; ValueError where it would become smaller."""
    if isinstance(size, Fraction):
        factor, told = size, f"--scale {float(size):g}"
    else:
        factor = min(Fraction(size[0], header.width), Fraction(size[1], header.height))
        told = f"--size {size[0]}x{size[1]}"
    if factor < 1:
        raise ValueError(f"{told}: is smaller than the pictures, {header.size}; predict enlarges")
    return factor


def target_header(header: Header, size: Size) -> Header:
    """The header of the pictures at their target size, every token but W and H as it was."""
    factor, (sub_x, sub_y, _) = factor_of(header, size), header.layout
    limits = (MAX_SIDE_PX, MAX_SIDE_PX) if isinstance(size, Fraction) else size
    sides = [
        min(int(side * factor / step + Fraction(1, 2)), limit // step) * step
        for side, step, limit in zip((header.width, header.height), (sub_x or 1, sub_y or 1), limits, strict=True)
    ]
    return header.resized(max(sides[0], sub_x or 1), max(sides[1], sub_y or 1))
