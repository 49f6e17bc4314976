"""Lay out per-frame values as the geometry of an SVG plot: paths, ticks and marks in user units.

Frame numbers and one list of values a curve -> Chart; a template draws it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

Values = Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """One plot; a mark is (x, y, kind): "dot" is a value without neighbours, "inf" an infinite one at the top edge."""

    title: str
    ticks_x: list[tuple[float, str]]
    ticks_y: list[tuple[float, str]]
    paths: dict[str, str]
    marks: dict[str, list[tuple[float, float, str]]]
    low: str
    high: str
    readout: str  # JSON: {"x": [...], "frames": [...], curve name: [texts]}

    width: ClassVar[int] = 360
    height: ClassVar[int] = 176
    left: ClassVar[int] = 42
    right: ClassVar[int] = 350
    top: ClassVar[int] = 26
    bottom: ClassVar[int] = 138

    @classmethod
    def x(cls, share: float) -> float:
        """Horizontal place of a share 0..1 of the frame range."""
        return round(cls.left + share * (cls.right - cls.left), 1)

    @classmethod
    def y(cls, share: float) -> float:
        """Vertical place of a share 0..1 of the value range, upwards."""
        return round(cls.bottom - share * (cls.bottom - cls.top), 1)


def make_chart(title: str, frames: Sequence[int], curves: Mapping[str, Values], digits: int) -> Chart:
    """Plot `curves` over ascending `frames`; lines join neighbouring frames only, so gaps stay gaps."""
    known = [value for curve in curves.values() for value in curve if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    levels = round_steps(low, high)
    span, floor = levels[-1] - levels[0], levels[0]
    first, length = frames[0], max(frames[-1] - frames[0], 1)
    xs = [Chart.x((frame - first) / length if len(frames) > 1 else 0.5) for frame in frames]
    places = {
        name: [None if value is None or math.isinf(value) else Chart.y((value - floor) / span) for value in curve]
        for name, curve in curves.items()
    }
    texts = {name: [_text(value, digits) for value in curve] for name, curve in curves.items()}
    decimals = max(0, -math.floor(math.log10(levels[1] - levels[0]) + 1e-9))
    step = next((step for step in (1, 2, 5, 10, 25, 50, 100, 250, 500) if length / step <= 5), length)
    ticks = range(-(-first // step) * step, frames[-1] + 1, step) if len(frames) > 1 else frames
    return Chart(
        title=title,
        ticks_x=[(Chart.x((tick - first) / length if len(frames) > 1 else 0.5), str(tick)) for tick in ticks],
        ticks_y=[(Chart.y((level - floor) / span), f"{level:.{decimals}f}") for level in levels],
        paths={name: _path(frames, xs, ys) for name, ys in places.items()},
        marks={name: _marks(frames, xs, ys, curves[name]) for name, ys in places.items()},
        low=_text(low if known else math.inf, digits),
        high=_text(high if known else math.inf, digits),
        readout=json.dumps({"x": xs, "frames": list(frames), **texts}),
    )


def round_steps(low: float, high: float, count: int = 4) -> list[float]:
    """Round, evenly spaced values that enclose low..high, about `count` steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 0.1)
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= span / count)
    start = math.floor(low / step)
    stop = max(math.ceil(high / step), start + 1)
    return [index * step for index in range(start, stop + 1)]


def _follows(frames: Sequence[int], ys: Sequence[float | None], index: int) -> bool:
    """True where the value at `index` and the one before it are neighbours on film and both finite."""
    return 0 < index < len(frames) and None not in (ys[index - 1], ys[index]) and frames[index] - frames[index - 1] == 1


def _path(frames: Sequence[int], xs: Sequence[float], ys: Sequence[float | None]) -> str:
    return "".join(
        f"{'L' if _follows(frames, ys, index) else 'M'}{x} {y}"
        for index, (x, y) in enumerate(zip(xs, ys, strict=True))
        if y is not None
    )


def _marks(
    frames: Sequence[int], xs: Sequence[float], ys: Sequence[float | None], values: Values
) -> list[tuple[float, float, str]]:
    marks = []
    for index, (x, y, value) in enumerate(zip(xs, ys, values, strict=True)):
        if value is not None and math.isinf(value):
            marks.append((x, Chart.y(1.0), "inf"))
        elif y is not None and not (_follows(frames, ys, index) or _follows(frames, ys, index + 1)):
            marks.append((x, y, "dot"))
    return marks


def _text(value: float | None, digits: int) -> str:
    return "n/a" if value is None else "\u221e" if math.isinf(value) else f"{value:.{digits}f}"
