"""Read training logs: a run's log.jsonl, or any text with lines such as `err: 0.0123`; average over steps.

Folder or file -> RunLog: one Series (steps, values) a quantity. JSON lines give every number by its key; text gives what
a pattern finds, one value a match, counted from 1 unless the pattern has a group named `step`.
Source: old-film report, appendix B.4: `err` averaged over a stride of 100, the last 35 averages printed.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
PATTERN = rf"\b(?:err|loss)\s*[:=]\s*(?P<loss>{NUMBER})|\bpsnr\s*[:=]\s*(?P<val_psnr>{NUMBER})"
LOG_NAME = "log.jsonl"


@dataclass(frozen=True)
class Series:
    """Values at rising steps; both lists are of one length."""

    steps: list[float]
    values: list[float]


@dataclass(frozen=True)
class RunLog:
    """What one run told."""

    name: str
    path: Path
    series: dict[str, Series]


def read(path: str | Path, pattern: str | None = None) -> RunLog:
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


def read_all(paths: Sequence[str | Path], pattern: str | None = None) -> list[RunLog]:
    """Logs in order; runs of the same name are told apart by their folders, then by a number."""
    logs = [read(path, pattern) for path in paths]
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
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise ValueError(f"{file}: line {number} is not JSON ({error}); mend or remove it") from None
        if not isinstance(row, dict) or not _is_number(row.get("step")):
            raise ValueError(f'{file}: line {number}: expected {{"step": ..., ...}}, got {line[:60]}')
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
            if math.isfinite(number):
                _append(series, name, _float(step, file, pattern) if step is not None else count, number)
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
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
