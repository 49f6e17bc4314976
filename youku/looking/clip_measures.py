"""Measure a clip without a reference: a survey of all frames, sharpness, and how much information there is to build on.

Header and frames -> Survey in one pass (memory does not grow with the clip, but for one number a frame); planes ->
Sharpness of one frame, Information of the first three. All code values are those of 8 bit, so that depths compare.

- gradient energy: mean of the squared differences to the right and lower neighbour, added; noise raises it too.
- edge spread: median width of the edges. An edge is a run of samples along a row or column that only rises or only
  falls, by 32 or more in all; its width is its height over its steepest step. A hard edge has 1 pixel, a Gaussian blur
  of sigma has 2.5 sigma, and an enlargement that adds no detail multiplies the width by its factor.
- contrast: standard deviation of luma.
- lossless ratio: raw bits / lossless bits of the frame as an 8-bit RGB picture, 24 bits a pixel against Pillow's PNG at zlib
  level 6. Soft, noiseless or enlarged pictures compress well: there is little fine detail to build on.
- entropy: -sum p log2 p of the luma plane's code values, in bits a sample. The report prints it without the minus sign.
- outside: share of luma samples below 16 or above 235, in %: full-range or badly graded material.

Sources: old-film report, appendix D.2 (sharpness = resolution and contrast), which gives a figure and no formula. The
spread is the slope form of the edge width of Marziliano et al. 2002; the energy is a usual focus measure (Brenner 1976
in kind, with neighbours instead of every second sample). Appendix D.4: mean of three frames from the start; nine films
lie between 3.07 (entropy 6.15) and 5.35 (6.39); a ratio of about 3 means that super-resolution helps, 5.7 little, 18
nothing. It names no coder: PNG is what it stores frames in (B.1). The borders between its three points are ours, at
their geometric means.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

import numpy as np

from youku.metrics import psnr
from youku.video import letterbox, motion
from youku.video.letterbox import Bars
from youku.video.y4m import Header, Planes

PLANE_NAMES = ("Y", "U", "V")
NEUTRAL = 128
GREY_TOLERANCE = 3  # code values: what codecs leave in the chroma of a black-and-white film
GREY_SHARE = 0.999
EDGE_HEIGHT = 32  # code values
NUM_FRAMES = 3
PNG_LEVEL = 6
HELPS, LITTLE, NOTHING = 3.0, 5.7, 18.0  # the report's ratios
BLANK_BITS = 1.0  # a frame with less entropy is a fade or a blank, and tells nothing about the film
STUDIO = (16, 235)


@dataclass(frozen=True, kw_only=True)
class PlaneStatistics:
    """One plane over all frames, in code values of 8 bit."""

    name: str
    least: float
    mean: float
    most: float
    std: float


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What there is to know about a clip's pictures."""

    num_frames: int
    planes: tuple[PlaneStatistics, ...]
    luma_counts: np.ndarray
    """(256,) samples at each code value."""
    differences: tuple[float, ...]
    """Mean |luma - luma of the frame before| of frames 1, 2, ...: the difference curve."""
    cuts: tuple[int, ...]
    """Frames that open a new shot, counted from 0."""
    bars: Bars
    is_grey: bool
    """Chroma neutral in every frame, or none."""

    @property
    def outside_percent(self) -> float:
        """Luma samples below 16 or above 235."""
        return 100 * float(self.luma_counts[:16].sum() + self.luma_counts[236:].sum()) / float(self.luma_counts.sum())


def survey(header: Header, frames: Iterable[Planes], name: str = "survey") -> Survey:
    """Look at every frame once; ValueError for a clip without frames."""
    counts = [np.zeros(1 << header.depth, np.int64) for _ in header.plane_shapes]
    differences: list[float] = []
    cuts: list[int] = []
    lit = (np.zeros(header.height, bool), np.zeros(header.width, bool))
    grey, before, number = True, None, 0
    for number, planes in enumerate(frames, 1):
        for count, plane in zip(counts, planes, strict=True):
            count += np.bincount(plane.ravel(), minlength=count.size)
        grey = grey and is_grey(planes, header.depth)
        rows, columns = letterbox.lit_lines(planes[0], header.depth)
        lit = lit[0] | rows, lit[1] | columns
        if before is not None:
            differences.append(difference(before, planes[0], header.depth))
            step = 1 + header.is_interlaced  # or a cut between two fields of a frame would be two
            if motion.is_cut(before[::step], planes[0][::step], header.depth):
                cuts.append(number - 1)
        before = planes[0]
    if number == 0:
        raise ValueError(f"{name}: expected one frame or more, got 0")
    return Survey(
        num_frames=number,
        planes=tuple(_statistics(name, count) for name, count in zip(PLANE_NAMES, counts, strict=False)),
        luma_counts=counts[0].reshape(256, -1).sum(axis=1),
        differences=tuple(differences),
        cuts=tuple(cuts),
        bars=letterbox.bars_of(lit),
        is_grey=grey,
    )


def difference(before: np.ndarray, luma: np.ndarray, depth: int = 8) -> float:
    """Mean absolute change of luma between two frames, in code values of 8 bit."""
    return float(np.abs(luma.astype(np.int32) - before).mean()) / (1 << (depth - 8))


def is_grey(planes: Planes, depth: int = 8) -> bool:
    """Whether nearly all chroma samples are neutral within codec noise; True for mono. Sepia is not grey."""
    unit = 1 << (depth - 8)
    away = (np.abs(plane.astype(np.int32) - NEUTRAL * unit) for plane in planes[1:])
    return all(float((distance <= GREY_TOLERANCE * unit).mean()) >= GREY_SHARE for distance in away)


def _statistics(name: str, counts: np.ndarray) -> PlaneStatistics:
    values = np.arange(counts.size) / (counts.size // 256)
    used = np.flatnonzero(counts)
    mean = float((values * counts).sum() / counts.sum())
    variance = float((np.square(values - mean) * counts).sum() / counts.sum())
    return PlaneStatistics(
        name=name, least=float(values[used[0]]), mean=mean, most=float(values[used[-1]]), std=variance**0.5
    )


@dataclass(frozen=True, kw_only=True)
class Sharpness:
    """One luma plane's figures."""

    gradient_energy: float
    """Squared code values a sample."""
    edge_spread_px: float | None
    """None where the picture has no edge."""
    contrast: float
    """Code values."""
    num_edges: int


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


def measure_sharpness(luma: np.ndarray, depth: int = 8) -> Sharpness:
    """Energy, edges and contrast of a luma plane (H, W)."""
    values = luma.astype(np.float32) / (1 << (depth - 8))
    widths = np.concatenate([edge_widths(values), edge_widths(values.T)])
    return Sharpness(
        gradient_energy=gradient_energy(values),
        edge_spread_px=float(np.median(widths)) if widths.size else None,
        contrast=float(values.std()),
        num_edges=widths.size,
    )


def gradient_energy(values: np.ndarray) -> float:
    """Mean squared step to the right plus mean squared step down; 0 for a flat plane (H, W)."""
    steps = (np.diff(values.astype(np.float64), axis=axis) for axis in (0, 1))
    return float(sum(np.square(step).mean() for step in steps if step.size))


def edge_widths(values: np.ndarray) -> np.ndarray:
    """Width in pixels of every edge along the rows of a plane (H, W) in code values of 8 bit."""
    steps = np.diff(values.astype(np.float64), axis=1)
    steps = np.pad(steps, ((0, 0), (0, 1)))  # a flat step ends every row, so that no run goes on in the next one
    signs = np.sign(steps).ravel()
    starts = np.flatnonzero(np.diff(signs, prepend=2.0))
    sizes = np.abs(steps.ravel())
    heights = np.add.reduceat(sizes, starts)
    steepest = np.maximum.reduceat(sizes, starts)
    is_edge = heights >= EDGE_HEIGHT
    return heights[is_edge] / steepest[is_edge]


def measure_information(header: Header, frames: Iterable[Planes]) -> Information:
    """The measures of the first NUM_FRAMES frames, fewer where the clip is shorter; ValueError for none."""
    rows = [
        (lossless_ratio(planes, header), entropy(planes[0]), outside_percent(planes[0], header.depth))
        for planes in islice(frames, NUM_FRAMES)
    ]
    if not rows:
        raise ValueError("information: expected one frame or more, got 0")
    ratio, bits, outside = (float(value) for value in np.mean(rows, axis=0))
    return Information(
        num_frames=len(rows), ratio=ratio, entropy_bits=bits, outside_percent=outside, verdict=verdict(ratio, bits)
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
    rgb = psnr.to_rgb(planes, header)
    Image.fromarray(rgb).save(buffer, "PNG", compress_level=PNG_LEVEL)
    return rgb.nbytes / buffer.tell()


def outside_percent(luma: np.ndarray, depth: int = 8) -> float:
    """Share of samples below 16 or above 235 (scaled to the depth), in %."""
    low, high = (code << (depth - 8) for code in STUDIO)
    return 100 * float(((luma < low) | (luma > high)).mean())


def verdict(ratio: float, entropy_bits: float = 8.0) -> str:
    """What the report's bands predict for a lossless ratio."""
    if entropy_bits < BLANK_BITS:
        return "unknown: these frames are nearly blank; measure where the picture has begun"
    said = {
        HELPS: "helps: there is fine detail to build on, or noise, which counts as detail here and is sharpened: try it",
        LITTLE: "helps little: the pictures are soft",
        NOTHING: "does nothing: the pictures hold hardly any detail",
    }
    about = min(said, key=lambda one: abs(math.log(ratio / one)))  # borders at their geometric means
    return f"{said[about]} (PNG makes films of that kind about {about:g} times smaller: old-film report, appendix D.4)"
