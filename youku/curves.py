"""Draw training curves in the terminal and as a picture: loss, validation, learning rate, speed; runs overlaid.

RUN... (runs/NAME, a log.jsonl, or any text with lines such as `err: 0.0123`) -> plots on stdout, --png FILE. Loss and
speed are means over --stride steps, or as logged where a run logs less often, and of the loss the last --end means are
shown, so that the fall at the start does not flatten the rest (old-film report, appendix B.4). --reference draws a
paper's figure across the PSNR plot.

Run: python -m youku curves runs/fsrcnn runs/edsr --png curves.png
     python -m youku curves runs/vdsr --end 0 --reference 37.53
     python -m youku curves train.txt --pattern 'PSNR (?P<val_psnr>[0-9.]+)'
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku import cli, files
from youku.pages import logs, terminal
from youku.pages.logs import Log, Series

# key in the log -> title and unit; shown in this order, then other losses and validation figures
TITLES = {
    "loss": "loss",
    "value": "value",
    "val_psnr": "validation PSNR, dB",
    "val_ssim": "validation SSIM",
    "val_vmaf": "validation VMAF",
    "val_score": "validation score",
    "lr": "learning rate",
    "steps_per_sec": "steps per second",
}
PSNR_KEYS = ("val_psnr", "psnr")
AVERAGED = ("loss", "value", "steps_per_sec")
COLOURS = ("#1f6feb", "#d9480f", "#2b8a3e", "#9c36b5", "#e8590c", "#0b7285", "#a61e4d", "#5c940d")


@dataclass(frozen=True)
class Panel:
    """One plot: a curve of each run that has the quantity."""

    key: str
    title: str
    curves: dict[str, Series]
    reference: float | None = None


def panels_of(runs: Sequence[Log], stride: int, end: int, reference: float | None = None) -> list[Panel]:
    """A panel for each quantity that any run told, averaged and cut as the module says; ValueError for bad numbers."""
    if stride < 1 or end < 0:
        raise ValueError(f"--stride {stride}, --end {end}: expected a stride of 1 or more and an end of 0 or more")
    told = {key for run in runs for key in run.series}
    keys = [key for key in TITLES if key in told]
    keys += sorted(key for key in told - set(TITLES) if _is_loss(key) or key.startswith("val_") or key in PSNR_KEYS)
    keys += sorted(told - set(keys) - {"data_wait"}) if not keys else []
    panels = [_panel(key, runs, stride, end, reference) for key in keys]
    if reference is not None and not any(panel.reference is not None for panel in panels):
        raise ValueError(f"--reference {reference:g} has no effect: no PSNR in {', '.join(run.name for run in runs)}")
    return panels


def _panel(key: str, runs: Sequence[Log], stride: int, end: int, reference: float | None) -> Panel:
    curves = {run.name: run.series[key] for run in runs if key in run.series}
    title = TITLES.get(key, key.replace("_", " "))
    if key in AVERAGED or _is_loss(key):
        widths = {max(stride, _interval(one)) for one in curves.values()}
        curves = {name: logs.average(one, stride) for name, one in curves.items()}
        title += f", means of {min(widths):g} steps" + (" or more, as logged" if len(widths) > 1 else "")
    if key == "value" or _is_loss(key):
        longest = max(len(one.steps) for one in curves.values())
        curves = {name: logs.last(one, end) for name, one in curves.items()}
        if end and longest > end:
            title += f", last {end} of {longest} (--end 0: all)"
    return Panel(key, title, curves, reference if key in PSNR_KEYS else None)


def _interval(one: Series) -> float:
    """The median step from one log line to the next, the first counted from 0."""
    return statistics.median_high(after - before for before, after in itertools.pairwise([0.0, *one.steps]))


def _is_loss(key: str) -> bool:
    return re.search(r"(^|_)loss(_|$)", key) is not None


def summary(runs: Sequence[Log]) -> list[str]:
    """One line a run: last step, loss at the end, best validation figures and where, mean speed."""
    heads = ("run", "steps", "loss", "best PSNR", "at step", "best score", "at step", "steps/s")
    rows = []
    for index, run in enumerate(runs):
        mark = f"{terminal.LETTERS[index % len(terminal.LETTERS)]} " if len(runs) > 1 else ""
        loss, speed = run.series.get("loss"), run.series.get("steps_per_sec")
        last_step = max(one.steps[-1] for one in run.series.values())
        row = [mark + run.name, f"{last_step:g}", f"{loss.values[-1]:.5g}" if loss else "-"]
        row += [*_best(run.series.get("val_psnr")), *_best(run.series.get("val_score"))]
        rows.append([*row, f"{sum(speed.values) / len(speed.values):.2f}" if speed else "-"])
    return terminal.table(heads, rows)


def _best(one: Series | None) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    value = max(one.values)
    return f"{value:.3f}", f"{one.steps[one.values.index(value)]:g}"


def text_of(runs: Sequence[Log], panels: Sequence[Panel], plain: bool = False) -> str:
    """The summary, then every panel; `plain` keeps to ASCII."""
    names = [run.name for run in runs]
    lines = summary(runs)
    for panel in panels:
        curves = {name: panel.curves.get(name, Series([], [])) for name in names}  # empty: keeps a run's letter
        lines += ["", *terminal.draw(panel.title, curves, panel.reference, plain)]
    return "\n".join(lines)


def write_png(runs: Sequence[Log], panels: Sequence[Panel], path: str | Path) -> None:
    """Panels in two columns, one colour a run; ValueError where matplotlib is not installed."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ValueError("--png needs matplotlib: pip install matplotlib; the terminal plots do without") from None
    columns = min(2, len(panels))
    num_rows = -(-len(panels) // columns)
    figure = Figure(figsize=(6.2 * columns, 2.9 * num_rows + 0.5), dpi=130, layout="constrained", facecolor="white")
    colours = {run.name: COLOURS[index % len(COLOURS)] for index, run in enumerate(runs)}
    for index, panel in enumerate(panels):
        axes = figure.add_subplot(num_rows, columns, index + 1)
        _draw_panel(axes, panel, colours)
    if len(runs) > 1:
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=colour, label=name, linewidth=2) for name, colour in colours.items()]
        figure.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)), frameon=False)
    else:
        figure.suptitle(runs[0].name, fontsize=12)
    with files.atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_panel(axes: Any, panel: Panel, colours: Mapping[str, str]) -> None:
    for name, one in panel.curves.items():
        marker = "o" if len(one.steps) <= 35 else None
        axes.plot(one.steps, one.values, color=colours[name], linewidth=1.6, marker=marker, markersize=3)
    if panel.reference is not None:
        axes.axhline(panel.reference, color="#495057", linewidth=1, linestyle="--")
        axes.annotate(
            f"reference {panel.reference:g}", (1, panel.reference), (-4, 3), xycoords=("axes fraction", "data"),
            textcoords="offset points", ha="right", fontsize=8, color="#495057",
        )  # fmt: skip
    axes.set_title(panel.title, fontsize=10, loc="left")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.ticklabel_format(axis="y", useOffset=False, scilimits=(-6, 6))
    if panel.key == "lr":  # the least is a tick of its own: 1e-6 must not read as 0 beside 1e-3
        least, ticks = min(value for one in panel.curves.values() for value in one.values), axes.get_yticks()
        apart = (ticks[1] - ticks[0]) / 2
        axes.set_yticks([least, *(tick for tick in ticks if least + apart < tick <= axes.get_ylim()[1])])
        axes.yaxis.set_major_formatter("{x:.3g}")
    axes.grid(color="#e9ecef", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def as_json(runs: Sequence[Log], panels: Sequence[Panel], reference: float | None) -> dict[str, Any]:
    """What the panels show, by run and quantity."""
    return {
        "runs": [
            {
                "name": run.name,
                "log": str(run.path),
                "series": {
                    panel.key: {"steps": panel.curves[run.name].steps, "values": panel.curves[run.name].values}
                    for panel in panels
                    if run.name in panel.curves
                },
            }
            for run in runs
        ],
        "reference": reference,
    }


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("curves", __doc__)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder, log.jsonl or text log")
    parser.add_argument("--stride", type=int, default=100, metavar="N", help="least steps in one mean (default 100)")
    parser.add_argument(
        "--end", type=int, default=35, metavar="N", help="means of the loss shown; 0 = all (default 35)"
    )
    parser.add_argument("--pattern", help="regular expression for text: a group around the number, named as you like")
    parser.add_argument("--reference", type=float, metavar="DB", help="a line across the PSNR plot, such as 37.53")
    parser.add_argument("--png", metavar="FILE", help="draw the same as a picture (needs matplotlib)")
    parser.add_argument("--json", action="store_true", help="print the averaged points as JSON")
    return parser


def _act(args: argparse.Namespace) -> int:
    runs = logs.read_all(args.runs, args.pattern)
    panels = panels_of(runs, args.stride, args.end, args.reference)
    if args.png:
        write_png(runs, panels, args.png)
        print(f"wrote {args.png}", file=sys.stderr)
    if args.json:
        print(json.dumps(as_json(runs, panels, args.reference)))
    else:
        print(text_of(runs, panels, plain="utf" not in (sys.stdout.encoding or "").lower()))
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _act, argv)


if __name__ == "__main__":
    raise SystemExit(main())
