"""Measure how much information a clip holds, and say in words whether super-resolution can be expected to help.

Planes of the first three frames -> lossless compression ratio, entropy, histogram, range use, verdict.

- ratio: raw bits / lossless bits of the frame as an 8-bit RGB picture, 24 bits a pixel against Pillow's PNG at zlib
  level 6. Soft, noiseless or enlarged pictures compress well: there is little fine detail to build on.
- entropy: -sum p log2 p of the luma plane's code values, in bits a sample. The report prints it without the minus sign.
- outside: share of luma samples below 16 or above 235, in %: full-range or badly graded material.

Source: old-film report, appendix D.4: mean of three frames from the start; nine films lie between 3.07 (entropy 6.15)
and 5.35 (6.39); a ratio of about 3 means that super-resolution helps, 5.7 little, 18 nothing. It names no coder: PNG is
what it stores frames in (B.1). The borders between its three points are ours, at their geometric means.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from youku.video import color
from youku.video.y4m import Header, Planes

NUM_FRAMES = 3
PNG_LEVEL = 6
HELPS, LITTLE, NOTHING = 3.0, 5.7, 18.0  # the report's ratios
BLANK_BITS = 1.0  # a frame with less entropy is a fade or a blank, and tells nothing about the film
STUDIO = (16, 235)


@dataclass(frozen=True, kw_only=True)
class Information:
    """Means over the frames measured."""

    num_frames: int
    ratio: float
    """Raw bits / lossless bits."""
    entropy_bits: float
    """Bits a luma sample."""
    outside_percent: float
    """Luma samples outside 16-235."""
    verdict: str
    """Predicted benefit in words."""


def measure(header: Header, frames: Iterable[Planes], num_frames: int = NUM_FRAMES) -> Information:
    """The measures of the first `num_frames` frames, fewer where the clip is shorter; ValueError for none."""
    rows = [
        (lossless_ratio(planes, header), entropy(planes[0]), outside_percent(planes[0], header.depth))
        for planes in islice(frames, num_frames)
    ]
    if not rows:
        raise ValueError("information: expected one frame or more, got 0")
    ratio, entropy_bits, outside = (float(value) for value in np.mean(rows, axis=0))
    words = verdict(ratio, entropy_bits)
    return Information(
        num_frames=len(rows), ratio=ratio, entropy_bits=entropy_bits, outside_percent=outside, verdict=words
    )


def entropy(plane: np.ndarray) -> float:
    """-sum p log2 p of a plane's code values: bits a sample, 0 for a flat plane, at most its depth."""
    counts = np.bincount(plane.ravel())
    shares = counts[counts > 0] / plane.size
    return max(0.0, float(-(shares * np.log2(shares)).sum()))


def lossless_ratio(planes: Planes, header: Header) -> float:
    """Raw bits / PNG bits of a frame as 8-bit RGB; the PNG's own head (57 bytes and more) counts."""
    from PIL import Image

    buffer = io.BytesIO()
    rgb = color.planes_to_rgb(planes, header.depth, header.layout)
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return rgb.nbytes / buffer.tell()


def histogram(luma: np.ndarray, depth: int = 8) -> np.ndarray:
    """Counts (256,) of a plane's samples in code values of 8 bit; deeper samples are cut, not rounded."""
    return np.bincount((luma >> (depth - 8)).ravel(), minlength=256)


def outside_percent(luma: np.ndarray, depth: int = 8) -> float:
    """Share of samples below 16 or above 235 (scaled to the depth), in %."""
    low, high = (code << (depth - 8) for code in STUDIO)
    return 100 * float(((luma < low) | (luma > high)).mean())


def verdict(ratio: float, entropy_bits: float = 8.0) -> str:
    """What the report's bands predict for a lossless ratio."""
    if entropy_bits < BLANK_BITS:
        return "unknown: these frames are nearly blank; measure where the picture has begun"
    if ratio < (HELPS * LITTLE) ** 0.5:
        return f"helps: there is fine detail to build on (the report's such films: lossless ratio about {HELPS:g})"
    if ratio < (LITTLE * NOTHING) ** 0.5:
        return f"helps little: the pictures are soft (the report's such films: lossless ratio about {LITTLE:g})"
    return (
        f"does nothing: the pictures hold hardly any detail (the report's such films: lossless ratio about {NOTHING:g})"
    )
