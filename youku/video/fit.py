"""Any target size: what `--size` and a broken `--scale` ask for, and frames of a network's own factor brought to it.

The aspect is kept: the picture is as large as fits inside the size, its sides whole chroma samples (even for 4:2:0).
Planes go through the kit's bicubic, anti-aliased where it shrinks, chroma at its own siting, one rounding at the end.
"""

from __future__ import annotations

import re
from fractions import Fraction

from youku.video import color, resize
from youku.video.y4m import Header, Planes
from youku.video.y4m_header import MAX_SIDE_PX

Size = tuple[int, int] | Fraction
"""A box (width, height) to fit in, or a factor."""


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


def fit(planes: Planes, header: Header, target: Header) -> Planes:
    """Planes of a frame with `header`, as large as `target` says."""
    import torch

    ratios = target.height / header.height, target.width / header.width
    out = []
    for index, (plane, sides) in enumerate(zip(planes, target.plane_shapes, strict=True)):
        values = torch.from_numpy(plane.astype("float32"))
        for axis, (side, ratio) in enumerate(zip(sides, ratios, strict=True)):
            shift = color.chroma_shift(header.layout, ratio)[axis] if index else 0.0
            values = resize.rescale(values, side, axis - 2, "bicubic", shift, ratio)  # (H, W) -> (height, width)
        out.append(resize.to_integers(values.numpy(), header.depth))
    return tuple(out)
