"""Cut crops for the eye: the box of a frame with most detail or most error, off the bars, as a picture in a page.

Planes -> boxes in pixels, data URIs. For looking at; scores never pass through here.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np

from youku.video import letterbox

HOW: dict[str, dict[str, Any]] = {"png": {"optimize": True}, "jpeg": {"quality": 72}}
EDGE_LIMIT = 40.0  # 8-bit code values; one hard edge (subtitle, bar) must not outweigh texture


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, picture: np.ndarray) -> np.ndarray:
        """The box of a picture (H, W) or (H, W, C), contiguous."""
        return np.ascontiguousarray(picture[self.top : self.top + self.height, self.left : self.left + self.width])

    def shrunk(self, scale: int) -> Box:
        """The same box in a frame `scale` times smaller; sides and corner must be multiples of `scale`."""
        assert not any(side % scale for side in (self.top, self.left, self.height, self.width)), (self, scale)
        return Box(self.top // scale, self.left // scale, self.height // scale, self.width // scale)


def detailed_box(luma: np.ndarray, depth: int, height: int, width: int, multiple: int = 1) -> Box:
    """The box up to `height` x `width` with most gradient energy, off the bars; all sides multiples of `multiple`."""
    values = luma.astype(np.float32) / (1 << (depth - 8))  # (H, W) in code values of 8 bit
    squares = np.diff(values, axis=0, append=values[-1:]) ** 2 + np.diff(values, axis=1, append=values[:, -1:]) ** 2
    bars = letterbox.bars_of(letterbox.lit_lines(luma, depth))
    return _densest(np.minimum(squares, EDGE_LIMIT**2), bars, height, width, multiple)


def wrong_box(pred: np.ndarray, high: np.ndarray, depth: int, height: int, width: int) -> Box:
    """The box up to `height` x `width` where `pred` has most squared error against `high`, off the bars."""
    values, other = (luma.astype(np.float32) / (1 << (depth - 8)) for luma in (high, pred))
    return _densest((values - other) ** 2, letterbox.bars_of(letterbox.lit_lines(high, depth)), height, width, 1)


def _densest(squares: np.ndarray, bars: letterbox.Bars, height: int, width: int, multiple: int) -> Box:
    """The box between the bars with the largest sum of `squares` (H, W)."""
    bottom, right = squares.shape[0] - bars.bottom, squares.shape[1] - bars.right
    top, left = -(-bars.top // multiple) * multiple, -(-bars.left // multiple) * multiple
    height = min(height, bottom - top) // multiple * multiple
    width = min(width, right - left) // multiple * multiple
    energy = np.zeros((squares.shape[0] + 1, squares.shape[1] + 1))  # [y, x]: sum of squares[:y, :x]
    energy[1:, 1:] = squares.cumsum(0, dtype=np.float64).cumsum(1)
    tops = np.arange(top, bottom - height + 1, multiple)[:, None]
    lefts = np.arange(left, right - width + 1, multiple)[None, :]
    inside = energy[tops + height, lefts + width] - energy[tops, lefts + width] - energy[tops + height, lefts]
    inside += energy[tops, lefts]  # a sum for each corner (rows of tops, columns of lefts)
    row, column = np.unravel_index(int(inside.argmax()), inside.shape)
    return Box(int(tops[row, 0]), int(lefts[0, column]), height, width)


def data_uri(picture: np.ndarray, kind: str = "png") -> str:
    """A picture (H, W, 3) as a data URI; "jpeg" is small and lossy: for finding one's way, never for judging."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, kind, **HOW[kind])
    return f"data:image/{kind};base64," + base64.b64encode(buffer.getvalue()).decode()
