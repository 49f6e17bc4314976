"""Survey a clip in one pass: planes' statistics, range use, luma histogram, change from frame to frame, cuts, bars, grey.

Header and frames -> Survey; memory does not grow with the clip, but for one number a frame. All code values are those
of 8 bit, so that clips of different depth compare.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from youku.video import letterbox, scenes
from youku.video.letterbox import Bars
from youku.video.y4m import Header, Planes

PLANE_NAMES = ("Y", "U", "V")
NEUTRAL = 128
GREY_TOLERANCE = 3  # code values: what codecs leave in the chroma of a black-and-white film
GREY_SHARE = 0.999


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


def survey(header: Header, frames: Iterable[Planes]) -> Survey:
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
            if scenes.is_cut(before, planes[0], header.depth):
                cuts.append(number - 1)
        before = planes[0]
    if number == 0:
        raise ValueError("survey: expected one frame or more, got 0")
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
