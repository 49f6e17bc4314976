"""What a run tells while it trains: figures since the last line, log.jsonl, the progress bar, the answer to Ctrl-C."""

from __future__ import annotations

import importlib.util
import json
import math
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

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

    def postfix(self, best: float, device: torch.device) -> dict[str, str]:
        now = self.summary()
        shown = {
            "loss": f"{now['loss']:.5f}",
            "data wait": f"{100 * now['data_wait']:.0f}%",
            "memory": f"{peak_memory_bytes(device) / 1e9:.1f}GB",
        }
        return shown if math.isinf(best) else {**shown, "best": f"{best:.3f}"}


def peak_memory_bytes(device: torch.device) -> int:
    """The most that was held so far: on the GPU by torch, elsewhere by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


class Log:
    """log.jsonl, one JSON object a line; on resume, lines past the checkpoint are dropped so that none is told twice.

    With `tensorboard`, the same figures go to the folder tensorboard/ beside it where that package is installed.
    """

    def __init__(self, path: Path, step: int, tensorboard: bool = False) -> None:
        lines = path.read_text().splitlines() if step and path.exists() else []
        with atomic_write(path) as file:
            file.write("".join(line + "\n" for line in lines if _step_of(line) <= step).encode())
        self._file = open(path, "a")  # noqa: SIM115
        self._board = _open_board(path.parent / "tensorboard", step) if tensorboard else None

    def write(self, values: dict[str, Any]) -> None:
        self._file.write(json.dumps(values) + "\n")
        self._file.flush()
        if self._board:
            for key, value in values.items():
                if key != "step":
                    self._board.add_scalar(key, value, values["step"])

    def close(self) -> None:
        self._file.close()
        if self._board:
            self._board.close()


def _open_board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, from `step` on; None where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


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
