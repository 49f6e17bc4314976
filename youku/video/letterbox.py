"""Find letterbox and pillarbox bars: rows and columns at the picture's rim that stay black over several frames.

Luma planes -> Bars in pixels -> the picture box, cut out of planes on whole chroma samples. A line is lit where one
sample in fifty or more is above the level of black with codec noise; a bar is a rim of lines that no frame lights. A
subtitle lights its lines, so a bar with subtitles counts as picture. A clip that is black throughout, or lit only in a
small spot, has no bars. Source: our own measure; the contest's clips have bars of (16, 128, 128).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from youku.video import y4m
from youku.video.y4m import Header, Planes

LIT_LEVEL = 28  # code values of 8 bit: studio black is 16, ringing and noise lie above it
LIT_PERCENTILE = 98.0
LEAST_PX = 2  # thinner rims are a codec's or a scaler's edge
LEAST_SHARE = 0.25  # of the height and width: a smaller lit spot is a title or a lamp, not a picture between bars

Lines = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Black lines at each side, in luma pixels."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def __bool__(self) -> bool:
        return any((self.top, self.bottom, self.left, self.right))


def lit_lines(luma: np.ndarray, depth: int = 8) -> Lines:
    """Which rows (H,) and columns (W,) of a luma plane are not black, as booleans."""
    bright = luma > LIT_LEVEL << (depth - 8)
    share = 1 - LIT_PERCENTILE / 100
    return bright.mean(axis=1) > share, bright.mean(axis=0) > share


def bars_of(lit: Lines) -> Bars:
    """Bars around the lit rows and columns of one or several frames, joined with `|`."""
    top, bottom = _rims(lit[0])
    left, right = _rims(lit[1])
    return Bars(top=top, bottom=bottom, left=left, right=right)


def picture_header(header: Header, bars: Bars) -> Header:
    """The header of the clip without its bars."""
    top, bottom, left, right = _whole_chroma(header, bars)
    return header.resized(right - left, bottom - top)


def picture(planes: Planes, header: Header, bars: Bars) -> Planes:
    """The picture between the bars as views; an odd bar next to subsampled chroma gives up one line of picture."""
    top, bottom, left, right = _whole_chroma(header, bars)
    return y4m.crop(planes, header.layout, top, left, bottom - top, right - left)


def _whole_chroma(header: Header, bars: Bars) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the picture, on whole chroma samples."""
    step_x, step_y = (max(1, step) for step in header.layout[:2])
    bottom, right = header.height - bars.bottom, header.width - bars.right
    if bars.bottom:
        bottom -= bottom % step_y
    if bars.right:
        right -= right % step_x
    return -(-bars.top // step_y) * step_y, bottom, -(-bars.left // step_x) * step_x, right


def _rims(lit: np.ndarray) -> tuple[int, int]:
    """Dark lines before the first and after the last lit one."""
    lines = np.flatnonzero(lit)
    if lines.size == 0 or lines[-1] + 1 - lines[0] < LEAST_SHARE * lit.size:
        return 0, 0
    first, last = int(lines[0]), int(lit.size - 1 - lines[-1])
    return (first if first >= LEAST_PX else 0), (last if last >= LEAST_PX else 0)
