"""Read training logs, and work out what to plot and say of each run: loss, validation, learning rate, speed.

A run's log.jsonl, or any text with lines such as `err: 0.0123` -> RunLog: one Series (steps, values) a quantity -> Plots
with averages by step, a summary as text, plain data. JSON lines give every number by its key; text gives what a pattern
finds, one value a match, counted from 1 unless the pattern has a group named `step`.
Source: old-film report, appendix B.4: `err` averaged over a stride of 100, the last 35 averages printed.
"""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku import files, text_table
from youku.pages import plots
from youku.pages.plots import Plot, Series

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PATTERN = rf"\b(?:err|loss)\s*[:=]\s*(?P<loss>{NUMBER})|\bpsnr\s*[:=]\s*(?P<val_psnr>{NUMBER})"
MAX_NUMBER = 1e100
LOG_NAME = "log.jsonl"
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


@dataclass(frozen=True)
class RunLog:
    """What one run told."""

    name: str
    path: Path
    series: dict[str, Series]


def read_log(path: str | Path, pattern: str | None = None) -> RunLog:
    """A run's folder, its log.jsonl or a text log; ValueError where nothing is found in it."""
    path = Path(path)
    file = path / LOG_NAME if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"{file}: no such log; expected a run's folder, its {LOG_NAME} or a text file")
    name = file.absolute().parent.name if file.name == LOG_NAME else file.stem
    text = file.read_text(encoding="utf-8", errors="replace")
    is_json = file.suffix == ".jsonl" and pattern is None
    series = _from_json(text, file) if is_json else _from_text(text, file, pattern or PATTERN)
    if not series:
        wanted = "numbers by step" if is_json else f"what {pattern or 'err: 0.1, loss: 0.1 or psnr: 30'} says"
        raise ValueError(f"{file}: expected {wanted}, found none; wait for the run's first lines, or give --pattern")
    return RunLog(name, file, series)


def read_logs(paths: Sequence[str | Path], pattern: str | None = None) -> list[RunLog]:
    """Logs in order; runs of the same name are told apart by their folders, then by a number."""
    logs = [read_log(path, pattern) for path in paths]
    names = [log.name for log in logs]
    if len(set(names)) < len(names):
        names = [f"{log.path.absolute().parent.parent.name}/{log.name}" for log in logs]
    if len(set(names)) < len(names):
        names = [f"{index}: {name}" for index, name in enumerate(names, 1)]
    return [RunLog(name, log.path, log.series) for name, log in zip(names, logs, strict=True)]


def average(series: Series, stride: int) -> Series:
    """Means over steps 1..stride, stride + 1..2 stride and so on; each stands at its last step."""
    groups: dict[int, list[int]] = {}
    for index, step in enumerate(series.steps):
        groups.setdefault(math.ceil(step / stride), []).append(index)
    steps = [series.steps[group[-1]] for group in groups.values()]
    return Series(steps, [sum(series.values[index] for index in group) / len(group) for group in groups.values()])


def last(series: Series, count: int) -> Series:
    """The last `count` points; all of them for 0."""
    return Series(series.steps[-count:], series.values[-count:]) if count else series


def _from_json(text: str, file: Path) -> dict[str, Series]:
    """Every finite number of every line; a last line that is being written is left for later."""
    series: dict[str, Series] = {}
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = files.parse_json(line)
        except ValueError as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"{file}: line {number} is not JSON ({error}); remove that line, or the log") from None
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            got = files.printable(line, 60)
            raise ValueError(
                f'{file}: line {number}: expected {{"step": ..., ...}}, got {got}; remove that line, or the log'
            )
        for key, value in row.items():
            if key != "step" and _is_number(value):
                _append(series, key, float(row["step"]), float(value))
    return series


def _from_text(text: str, file: Path, pattern: str) -> dict[str, Series]:
    """Each named group that took part in a match adds to the series of its name; an unnamed first group is `value`."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--pattern {pattern!r}: {error}; expected a Python regular expression") from None
    if not compiled.groups:
        raise ValueError(rf"--pattern {pattern!r}: no group around the number; expected such as 'psnr (\d+\.\d+)'")
    series: dict[str, Series] = {}
    for match in compiled.finditer(text):
        found = match.groupdict() or {"value": match[1]}
        step = found.pop("step", None)
        for name, value in found.items():
            if value is None:
                continue
            number = _float(value, file, pattern)
            count = len(series[name].steps) + 1 if name in series else 1
            at = _float(step, file, pattern) if step is not None else count
            if _is_number(number) and _is_number(at):
                _append(series, name, at, number)
    return series


def _append(series: dict[str, Series], name: str, step: float, value: float) -> None:
    one = series.setdefault(name, Series([], []))
    one.steps.append(step)
    one.values.append(value)


def _float(text: str, file: Path, pattern: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{file}: --pattern {pattern!r} found {text!r}, expected a number") from None


def _is_number(value: Any) -> bool:
    """A number that can be averaged and drawn: neither true, nor infinite, nor of hundreds of digits."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER


def plots_of(runs: Sequence[RunLog], stride: int | None, end: int, reference: float | None = None) -> list[Plot]:
    """A plot for each quantity that any run told, averaged and cut as the module says; ValueError for bad numbers.

    A `stride` of None is 100, or as many fewer as give the longest run 50 means.
    """
    if stride is None:
        stride = max(1, min(100, int(max(one.steps[-1] for run in runs for one in run.series.values())) // 50))
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
        curves = {name: average(one, stride) for name, one in curves.items()}
        if max(widths) > 1:
            title += f", means of {min(widths):g} steps" + (" or more, as logged" if len(widths) > 1 else "")
    if key == "value" or _is_loss(key):
        longest = max(len(one.steps) for one in curves.values())
        curves = {name: last(one, end) for name, one in curves.items()}
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
    step = one.steps[one.values.index(value)]
    return f"{value:.3f}", f"{step:g}" if step else "0 (its start)"


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
