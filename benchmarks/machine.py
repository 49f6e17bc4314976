"""Name the machine and time rival functions in turn, so that a ratio holds while the machine's speed drifts.

python benchmarks/machine.py
"""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def describe() -> str:
    """Processor, cores, GPU, python and torch."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next(
            (line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line), name
        )
    gpu = f", {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}; python {platform.python_version()}, torch {torch.__version__}"


def interleaved(rivals: Sequence[Callable[[], object]], repeats: int) -> list[list[float]]:
    """Seconds of every call, A B A B ..., after one warm-up each."""
    for rival in rivals:
        rival()
    times: list[list[float]] = [[] for _ in rivals]
    for _ in range(repeats):
        for rival, seconds in zip(rivals, times, strict=True):
            began = time.perf_counter()
            rival()
            seconds.append(time.perf_counter() - began)
    return times


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over the pairs of theirs / ours: above 1 means we are faster."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def bar(what: str, ratio: float, wanted: float) -> None:
    """Print one figure beside its bar."""
    print(f"{what:<64}{ratio:8.2f}   bar {wanted:4.2f}   {'met' if ratio >= wanted else 'MISSED'}")


if __name__ == "__main__":
    print(describe())
