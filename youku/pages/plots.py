"""Draw curves over steps or frames: as the geometry of an SVG figure, as lines of text, as a picture.

Curves by name -> SvgPlot for a template; lines of braille dots (one curve) or of a letter a curve (several, or plain
ASCII); a PNG by matplotlib. All places are shares 0..1 of the ranges shown.
"""

from __future__ import annotations

import itertools
import json
import math
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from youku import cli, files

if TYPE_CHECKING:  # at run time only where a picture is drawn
    from matplotlib.figure import Figure

TEXT_WIDTH, TEXT_HEIGHT = 64, 10
# bit of each dot of a braille cell (row, column), Unicode block U+2800
BRAILLE_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
LETTERS = string.ascii_lowercase
COLOURS = ("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5", "#e8590c", "#0b7285", "#a61e4d", "#5c940d")
PNG_DPI = 130
LOCKED_SEC = 60
Values = Sequence[float | None]


@dataclass(frozen=True)
class Series:
    """Values at rising steps; both lists are of one length."""

    steps: list[float]
    values: list[float]


@dataclass(frozen=True)
class Plot:
    """One plot: a curve of each run that has the quantity `key`."""

    key: str
    title: str
    curves: dict[str, Series]
    reference: float | None = None


@dataclass(frozen=True)
class SvgPlot:
    """One plot in user units; a mark is (x, y, kind): "dot" is a value without neighbours, "inf" an infinite one."""

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
        return round(cls.left + share * (cls.right - cls.left), 1)

    @classmethod
    def y(cls, share: float) -> float:
        return round(cls.bottom - share * (cls.bottom - cls.top), 1)


def round_steps(low: float, high: float) -> list[float]:
    """Round, evenly spaced values that enclose low..high, about 4 steps of 1, 2 or 5 times a power of ten."""
    least = max(high - low, 0.1) / 4
    power = 10.0 ** math.floor(math.log10(least))
    step = next(power * factor for factor in (1, 2, 5, 10, 20) if power * factor >= least)
    start = math.floor(low / step)
    stop = max(math.ceil(high / step), start + 1)
    return [index * step for index in range(start, stop + 1)]


def share(value: float, first: float, last: float) -> float:
    """Where a value stands between `first` (0) and `last` (1); the middle of an empty range."""
    return (value - first) / (last - first) if first != last else 0.5


# ---- as SVG


def svg_plot(title: str, frames: Sequence[int], curves: Mapping[str, Values], digits: int) -> SvgPlot:
    """Plot `curves` over ascending `frames`; lines join neighbouring frames only, so gaps stay gaps."""
    known = [value for curve in curves.values() for value in curve if value is not None and math.isfinite(value)]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    levels = round_steps(low, high)
    first, last = frames[0], frames[-1]
    xs = [SvgPlot.x(share(frame, first, last)) for frame in frames]
    paths, marks = {}, {}
    for name, curve in curves.items():
        finite = (value if value is not None and math.isfinite(value) else None for value in curve)
        ys = [None if value is None else SvgPlot.y(share(value, levels[0], levels[-1])) for value in finite]
        runs = _runs(frames, xs, ys)
        paths[name] = "".join("M" + "L".join(f"{x} {y}" for x, y in run) for run in runs)
        dots = [(*run[0], "dot") for run in runs if len(run) == 1]
        infinite = [x for x, value in zip(xs, curve, strict=True) if value is not None and math.isinf(value)]
        marks[name] = sorted([*dots, *((x, SvgPlot.y(1.0), "inf") for x in infinite)])
    texts = {name: [number_text(value, digits) for value in curve] for name, curve in curves.items()}
    decimals = max(0, -math.floor(math.log10(levels[1] - levels[0]) + 1e-9))
    length = max(last - first, 1)
    step = next((step for step in (1, 2, 5, 10, 25, 50, 100, 250, 500) if length / step <= 5), length)
    ticks = range(-(-first // step) * step, last + 1, step) if len(frames) > 1 else frames
    return SvgPlot(
        title=title,
        ticks_x=[(SvgPlot.x(share(tick, first, last)), str(tick)) for tick in ticks],
        ticks_y=[(SvgPlot.y(share(level, levels[0], levels[-1])), f"{level:.{decimals}f}") for level in levels],
        paths=paths,
        marks=marks,
        low=number_text(low if known else math.inf, digits),
        high=number_text(high if known else math.inf, digits),
        readout=json.dumps({"x": xs, "frames": list(frames), **texts}),
    )


def _runs(frames: Sequence[int], xs: Sequence[float], ys: Values) -> list[list[tuple[float, float]]]:
    """Points of the finite values, a list for each run of neighbours on film."""
    runs: list[list[tuple[float, float]]] = []
    before = None
    for frame, x, y in zip(frames, xs, ys, strict=True):
        if y is not None and before == frame - 1:
            runs[-1].append((x, y))
        elif y is not None:
            runs.append([(x, y)])
        before = None if y is None else frame
    return runs


def number_text(value: float | None, digits: int, sign: str = "") -> str:
    """The number with `digits` decimals, a true minus and infinity; "n/a" for None."""
    if value is None:
        return "n/a"
    shown = f"{value:{sign}.{digits}f}".replace("inf", "\u221e")
    if float(f"{value:.{digits}f}") == 0:
        shown = f"{0:.{digits}f}"
    return shown.replace("-", "\u2212")


# ---- as text


def text_plot(plot: Plot, names: Sequence[str] = (), plain: bool = False) -> list[str]:
    """Title, ten rows with the largest and smallest value at the side, the first and last step below.

    `names` are all runs, each with its own letter, also where some have no curve here; `plain` keeps to ASCII.
    """
    values = [value for one in plot.curves.values() for value in one.values]
    steps = [step for one in plot.curves.values() for step in one.steps]
    shown = [*values, plot.reference] if plot.reference is not None else values
    low, high, first, last = min(shown), max(shown), min(steps), max(steps)
    labels = {0: f"{high:.5g}", TEXT_HEIGHT - 1: f"{low:.5g}" if high > low else ""}
    signs = np.full((TEXT_HEIGHT, TEXT_WIDTH), " ")
    if plot.reference is not None:
        line = _dot_row(plot.reference, low, high) // 4
        labels[line] = f"{plot.reference:.5g}"
        signs[line] = "-"
    names = names or tuple(plot.curves)
    for index, name in enumerate(names):
        codes = _braille_codes(plot.curves.get(name, Series([], [])), (first, last), (low, high))
        letter = "*" if len(names) == 1 else LETTERS[index % len(LETTERS)]
        braille = len(names) == 1 and not plain
        signs[codes > 0] = (
            np.array([chr(0x2800 + code) for code in range(256)])[codes[codes > 0]] if braille else letter
        )
    rows = [f"{labels.get(row, ''):>10} |{''.join(line)}".rstrip() for row, line in enumerate(signs)]
    below = f"{f'{first:g}':<{TEXT_WIDTH // 2}}{f'step {last:g}':>{TEXT_WIDTH // 2}}"
    return [plot.title, *rows, f"{'':>10} +{'-' * TEXT_WIDTH}", f"{'':>10}  {below}"]


def _braille_codes(one: Series, across: tuple[float, float], span: tuple[float, float]) -> np.ndarray:
    """(TEXT_HEIGHT, TEXT_WIDTH) sums of the bits of a curve's dots, its points joined; 0 where there is none."""
    dots = np.zeros((4 * TEXT_HEIGHT, 2 * TEXT_WIDTH), int)  # rows from the top
    columns = [round(share(step, *across) * (2 * TEXT_WIDTH - 1)) for step in one.steps]
    places = [(_dot_row(value, *span), column) for value, column in zip(one.values, columns, strict=True)]
    for begin, end in itertools.pairwise([*places, *places[-1:]]):
        down, right = end[0] - begin[0], end[1] - begin[1]
        num = max(abs(down), abs(right), 1)
        parts = np.arange(num) / num
        dots[np.rint(begin[0] + parts * down).astype(int), np.rint(begin[1] + parts * right).astype(int)] = 1
    cells = dots.reshape(TEXT_HEIGHT, 4, TEXT_WIDTH, 2)
    return (cells * np.array(BRAILLE_BITS)[:, None]).sum((1, 3))


def _dot_row(value: float, low: float, high: float) -> int:
    return round(share(value, high, low) * (4 * TEXT_HEIGHT - 1))


# ---- as a picture


def check_png(path: str | Path) -> None:
    """ValueError where no figure can be saved there: for whoever works long before there is something to draw."""
    if Path(path).suffix.lower() != ".png":
        raise cli.UsageError(f"--png {path}: expected a name that ends in .png")
    files.refuse_target(path)
    try:
        import matplotlib
    except ImportError:
        raise ValueError("--png needs matplotlib: pip install matplotlib; all text does without") from None
    _unlock_fonts(Path(matplotlib.get_cachedir()))
    import matplotlib.figure


def _unlock_fonts(cache: Path) -> None:
    """Remove matplotlib's lock on its list of fonts that a killed run left: every later one would wait for it in vain.

    It is held while the list is written, which takes milliseconds.
    """
    for lock in cache.glob("fontlist-*.matplotlib-lock"):
        with suppress(OSError):
            if time.time() - lock.stat().st_mtime > LOCKED_SEC:
                lock.unlink()


@contextmanager
def png_figure(path: str | Path, dpi: int, width_in: float, height_in: float) -> Iterator[Figure]:
    """A figure to draw on, saved when the block ends; ValueError where matplotlib is not installed."""
    check_png(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    yield figure
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi)


def write_png(names: Sequence[str], plots: Sequence[Plot], path: str | Path) -> None:
    """Plots in two columns, one colour a run."""
    num_columns = min(2, len(plots))
    num_rows = -(-len(plots) // num_columns)
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    with png_figure(path, PNG_DPI, 6.2 * num_columns, 2.9 * num_rows + 0.5) as figure:
        from matplotlib.lines import Line2D

        for index, plot in enumerate(plots, 1):
            draw_axes(figure.add_subplot(num_rows, num_columns, index), plot, colours)
        if len(names) > 1:
            handles = [Line2D([], [], color=colour, label=name, linewidth=2) for name, colour in colours.items()]
            figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)), frameon=False)
        else:
            figure.suptitle(names[0], fontsize=12)


def draw_axes(axes: Any, plot: Plot, colours: Mapping[str, str]) -> None:
    """One plot on matplotlib's axes, which find their own ticks."""
    for name, one in plot.curves.items():
        marker = "o" if len(one.steps) <= 35 else None
        axes.plot(one.steps, one.values, color=colours[name], linewidth=1.6, marker=marker, markersize=3)
    if plot.reference is not None:
        axes.axhline(plot.reference, color="#495057", linewidth=1, linestyle="--")
        axes.annotate(
            f"reference {plot.reference:g}", (1, plot.reference), (-4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=8, color="#495057",
        )  # fmt: skip
    axes.set_title(plot.title, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-6, 6))
    if plot.key == "lr":  # the least is a tick of its own: 1e-6 must not read as 0 beside 1e-3
        least, ticks = min(value for one in plot.curves.values() for value in one.values), axes.get_yticks()
        apart = (ticks[1] - ticks[0]) / 2
        axes.set_yticks([least, *(tick for tick in ticks if least + apart < tick <= axes.get_ylim()[1])])
        axes.yaxis.set_major_formatter("{x:.3g}")
    axes.grid(color="#e9ecef", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
