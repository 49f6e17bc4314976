"""Work out what to plot of training runs, and what to say of each: loss, validation, learning rate, speed.

RunLogs -> Plots with averages by step, a summary as text, plain data; means and cuts as `curves` explains them.
"""

from __future__ import annotations

import itertools
import re
import statistics
from collections.abc import Sequence
from typing import Any

from youku import text_table
from youku.pages import logs, plots
from youku.pages.logs import RunLog, Series
from youku.pages.plots import Plot

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


def plots_of(runs: Sequence[RunLog], stride: int, end: int, reference: float | None = None) -> list[Plot]:
    """A plot for each quantity that any run told, averaged and cut as the module says; ValueError for bad numbers."""
    if stride < 1 or end < 0:
        raise ValueError(f"--stride {stride}, --end {end}: expected a stride of 1 or more and an end of 0 or more")
    told = {key for run in runs for key in run.series}
    keys = [key for key in TITLES if key in told]
    keys += sorted(key for key in told - set(TITLES) if _is_loss(key) or key.startswith("val_") or key in PSNR_KEYS)
    keys += sorted(told - set(keys) - {"data_wait"}) if not keys else []
    found = [_plot(key, runs, stride, end, reference) for key in keys]
    if reference is not None and not any(plot.reference is not None for plot in found):
        raise ValueError(f"--reference {reference:g} has no effect: no PSNR in {', '.join(run.name for run in runs)}")
    return found


def _plot(key: str, runs: Sequence[RunLog], stride: int, end: int, reference: float | None) -> Plot:
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
    return Plot(key, title, curves, reference if key in PSNR_KEYS else None)


def _interval(one: Series) -> float:
    """The median step from one log line to the next, the first counted from 0."""
    return statistics.median_high(after - before for before, after in itertools.pairwise([0.0, *one.steps]))


def _is_loss(key: str) -> bool:
    return re.search(r"(^|_)loss(_|$)", key) is not None


def summary_table(runs: Sequence[RunLog]) -> str:
    """One line a run: last step, loss at the end, best validation figures and where, mean speed."""
    heads = ("run", "steps", "loss", "best PSNR", "at step", "best score", "at step", "steps/s")
    rows = []
    for index, run in enumerate(runs):
        mark = f"{plots.LETTERS[index % len(plots.LETTERS)]} " if len(runs) > 1 else ""
        loss, speed = run.series.get("loss"), run.series.get("steps_per_sec")
        last_step = max(one.steps[-1] for one in run.series.values())
        row = [mark + run.name, f"{last_step:g}", f"{loss.values[-1]:.5g}" if loss else "-"]
        row += [*_best(run.series.get("val_psnr")), *_best(run.series.get("val_score"))]
        rows.append([*row, f"{sum(speed.values) / len(speed.values):.2f}" if speed else "-"])
    return text_table.lay_out(heads, rows)


def _best(one: Series | None) -> tuple[str, str]:
    if one is None:
        return "-", "-"
    value = max(one.values)
    return f"{value:.3f}", f"{one.steps[one.values.index(value)]:g}"


def text_of(runs: Sequence[RunLog], found: Sequence[Plot], plain: bool = False) -> str:
    """The summary, then every plot; `plain` keeps to ASCII."""
    names = [run.name for run in runs]
    drawn = ["\n".join(["", *plots.text_plot(plot, names, plain)]) for plot in found]
    return "\n".join([summary_table(runs), *drawn])


def plots_as_json(runs: Sequence[RunLog], found: Sequence[Plot], reference: float | None) -> dict[str, Any]:
    """What the plots show, by run and quantity."""
    return {
        "runs": [
            {
                "name": run.name,
                "log": str(run.path),
                "series": {
                    plot.key: {"steps": plot.curves[run.name].steps, "values": plot.curves[run.name].values}
                    for plot in found
                    if run.name in plot.curves
                },
            }
            for run in runs
        ],
        "reference": reference,
    }
