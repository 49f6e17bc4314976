"""What a run tells while it trains: figures since the last line, log.jsonl, the progress bar, the answer to Ctrl-C."""

from __future__ import annotations

import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from youku.files import atomic_write
from youku.training.config import TrainConfig


@dataclass
class Window:
    """Figures since the last log line."""

    losses: list[float] = field(default_factory=list)
    waited_sec: float = 0.0
    began_sec: float = field(default_factory=time.perf_counter)

    def summary(self) -> dict[str, float]:
        elapsed_sec = max(time.perf_counter() - self.began_sec, 1e-9)
        return {
            "loss": sum(self.losses) / len(self.losses),
            "steps_per_sec": len(self.losses) / elapsed_sec,
            "data_wait": self.waited_sec / elapsed_sec,
        }

    def postfix(self, best: float) -> dict[str, str]:
        now = self.summary()
        shown = {"loss": f"{now['loss']:.5f}", "data wait": f"{100 * now['data_wait']:.0f}%"}
        return shown if math.isinf(best) else {**shown, "best": f"{best:.3f}"}


class Log:
    """log.jsonl, one JSON object a line; on resume, lines past the checkpoint are dropped so that none is told twice."""

    def __init__(self, path: Path, step: int) -> None:
        lines = path.read_text().splitlines() if step and path.exists() else []
        with atomic_write(path) as file:
            file.write("".join(line + "\n" for line in lines if _step_of(line) <= step).encode())
        self._file = open(path, "a")  # noqa: SIM115

    def write(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _step_of(line: str) -> float:
    """Step of a log line; infinite for one that a power cut tore."""
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:
        return math.inf


def finite(values: dict[str, float]) -> dict[str, float]:
    """Leave out what JSON cannot say."""
    return {key: value for key, value in values.items() if math.isfinite(value)}


def make_bar(config: TrainConfig, step: int, progress: bool) -> Any:
    from tqdm import tqdm

    return tqdm(
        total=config.steps, initial=step, desc=config.name, unit="step", disable=not progress, file=sys.stderr,
        dynamic_ncols=True, mininterval=0.5,
    )  # fmt: skip


@contextmanager
def stop_flag() -> Iterator[list[int]]:
    """A list that fills when Ctrl-C or SIGTERM comes: the step in flight ends, then the loop saves. A second one kills."""
    caught: list[int] = []

    def catch(number: int, frame: Any) -> None:
        if caught:
            raise KeyboardInterrupt
        caught.append(number)
        print("\nstopping after this step; press Ctrl-C again to stop at once", file=sys.stderr)

    try:
        previous = {number: signal.signal(number, catch) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: nobody can press Ctrl-C here
        previous = {}
    try:
        yield caught
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
