"""Lay out a sharpening sweep as the geometry of an SVG plot: a measure against PSNR, one line a sigma.

Points (sigma, amount, psnr, values) -> Scatter; a template draws it. The dotted line joins equal contest scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from youku import contest
from youku.pages.chart import round_steps

Point = Mapping[str, float]


@dataclass(frozen=True)
class Line:
    """One sigma: its path, its marks (x, y, spoken values) and where its label stands."""

    sigma_px: float
    path: str
    marks: list[tuple[float, float, str]]
    label: tuple[float, float]


@dataclass(frozen=True)
class Scatter:
    """One plot in user units; `start` is the frame without a mask, `equal` the line of its score where it is a score."""

    title: str
    ticks_x: list[tuple[float, str]]
    ticks_y: list[tuple[float, str]]
    lines: list[Line]
    start: tuple[float, float]
    equal: tuple[float, float, float, float]

    width: ClassVar[int] = 420
    height: ClassVar[int] = 300
    left: ClassVar[int] = 44
    right: ClassVar[int] = 372
    top: ClassVar[int] = 30
    bottom: ClassVar[int] = 254


def make_scatters(points: Sequence[Point], measures: Mapping[str, str]) -> list[Scatter]:
    """A plot for each measure (key -> title) with the same axes, so that they can be compared; point 0 has no mask."""
    xs = round_steps(min(point["psnr"] for point in points), max(point["psnr"] for point in points))
    values = [point[key] for key in measures for point in points]
    ys = round_steps(min(values), max(values))
    return [_scatter(points, key, title, xs, ys) for key, title in measures.items()]


def _scatter(points: Sequence[Point], key: str, title: str, xs: list[float], ys: list[float]) -> Scatter:
    def place(point: Point) -> tuple[float, float]:
        return _x(point["psnr"], xs), _y(point[key], ys)

    start, lines = points[0], []
    for sigma_px in sorted({point["sigma_px"] for point in points[1:]}):
        own = sorted((point for point in points[1:] if point["sigma_px"] == sigma_px), key=_amount)
        places = [place(point) for point in (start, *own)]
        texts = [f"amount {point['amount']:g}: PSNR {point['psnr']:.2f} dB, {title} {point[key]:.1f}" for point in own]
        path = "M" + "L".join(f"{x} {y}" for x, y in places)
        marks = [(x, y, text) for (x, y), text in zip(places[1:], texts, strict=True)]
        lines.append(Line(sigma_px, path, marks, places[-1]))
    digits = 1 if xs[1] - xs[0] >= 0.1 else 2
    return Scatter(
        title=title,
        ticks_x=[(_x(tick, xs), f"{tick:.{digits}f}") for tick in xs],
        ticks_y=[(_y(tick, ys), f"{tick:.{0 if ys[1] - ys[0] >= 1 else 1}f}") for tick in ys],
        lines=lines,
        start=place(start),
        equal=_equal(start["psnr"], start[key], xs, ys),
    )


def _equal(psnr: float, value: float, xs: list[float], ys: list[float]) -> tuple[float, float, float, float]:
    """The line of equal score through a point, cut to the frame: 1 dB is worth PSNR_WEIGHT / VMAF_WEIGHT points."""
    slope = -contest.PSNR_WEIGHT / contest.VMAF_WEIGHT
    left, right = (max(xs[0], psnr + (ys[-1] - value) / slope), min(xs[-1], psnr + (ys[0] - value) / slope))
    ends = [(x, value + slope * (x - psnr)) for x in (left, right)]
    (x1, y1), (x2, y2) = ((_x(x, xs), _y(y, ys)) for x, y in ends)
    return x1, y1, x2, y2


def table_rows(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The sweep as numbers: every point with its differences from no mask."""
    start = points[0]
    keys = ("psnr", "vmaf", "vmaf_neg", "score")
    return [{**point, "gains": {key: point[key] - start[key] for key in keys}} for point in points]


def _amount(point: Point) -> float:
    return point["amount"]


def _x(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(Scatter.left + share * (Scatter.right - Scatter.left), 1)


def _y(value: float, ticks: Sequence[float]) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(Scatter.bottom - share * (Scatter.bottom - Scatter.top), 1)
