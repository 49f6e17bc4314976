"""What a run tells while it trains: figures between two log lines, log.jsonl, the progress bar, the answer to Ctrl-C.

Sentences go to whoever called (`Say`); nothing is printed here but the bar.
"""

from __future__ import annotations

import importlib.util
import json
import math
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import torch

from youku import cli, files, stops
from youku.files import atomic_write
from youku.text_table import plural
from youku.training.config import TrainConfig
from youku.training.ranks import Ranks

PACE_SEC = 3.0  # a run's first steps tell its pace
Say = Callable[[str], object]
"""Who is told a sentence about the run."""


def silent(text: str) -> None:
    """Nobody is told."""


@dataclass
class Figures:
    """What is gathered between two log lines."""

    losses: list[float] = field(default_factory=list)
    waited_sec: float = 0.0
    began_sec: float = field(default_factory=time.perf_counter)

    def summary(self, ranks: Ranks) -> dict[str, float]:
        elapsed_sec = max(time.perf_counter() - self.began_sec, 1e-9)
        return {
            "loss": ranks.mean(sum(self.losses) / len(self.losses)),
            "steps_per_sec": len(self.losses) / elapsed_sec,
            "data_wait": self.waited_sec / elapsed_sec,
        }


@dataclass
class Pace:
    """How fast the first steps of a run go, the very first apart, which warms up."""

    left: int
    """Steps to come."""
    num_timed: int = -1
    began_sec: float = 0.0

    def after_step(self) -> str:
        """How long the rest will take, once when the pace is known; else nothing."""
        self.left, self.num_timed = self.left - 1, self.num_timed + 1
        self.began_sec = self.began_sec or time.perf_counter()
        elapsed_sec = time.perf_counter() - self.began_sec
        if not self.left or not self.num_timed or elapsed_sec < PACE_SEC:
            return ""
        self.began_sec, pace = math.inf, self.num_timed / elapsed_sec  # told
        return (
            f"about {cli.as_time(self.left / pace)} for {plural(self.left, 'step')} at {pace:.3g} steps/s, validations apart; "
            "Ctrl-C keeps what is there"
        )


def peak_memory_bytes(device: torch.device) -> int:
    """The most that was held so far: on the GPU by torch, elsewhere by the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # not a POSIX system
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux KiB


class LogWriter:
    """The log, the bar and the listener of one run, opened at the step where it begins.

    log.jsonl holds one JSON object a line; on resume, lines past the checkpoint are dropped so that none is told twice:
    those after its step, and a validation after the last that it knows of (it is made again).
    With TensorBoard, the same figures go to the folder tensorboard/ beside it where that package is installed.
    """

    def __init__(self, config: TrainConfig, step: int, validated: int, progress: bool, say: Say, ranks: Ranks) -> None:
        self._listener, self._file, self._board = say, None, None
        self._pace = Pace(config.steps - step)
        if ranks.is_writer:
            self._file = _open_log(config.folder / "log.jsonl", step, validated)
            self._board = _open_board(config.folder / "tensorboard", step) if config.tensorboard else None
        self.bar = cli.bar(
            total=config.steps, initial=step, desc=config.name, unit="step", is_shown=progress and ranks.is_writer,
            dynamic_ncols=True, mininterval=0.5,
        )  # fmt: skip

    def say(self, text: str) -> None:
        """Tell a sentence, the bar kept below it."""
        with self.bar.external_write_mode(file=sys.stderr):
            self._listener(text)

    def write(self, values: dict[str, Any]) -> None:
        """One line of the log: the step and figures; those that JSON cannot say are left out."""
        values = {key: value for key, value in values.items() if math.isfinite(value)}
        if self._file:
            self._file.write(json.dumps(values) + "\n")
            self._file.flush()
        if self._board:
            for key, value in values.items():
                if key != "step":
                    self._board.add_scalar(key, value, values["step"])

    def after_step(self) -> None:
        """Move the bar, and say once how long the run will take."""
        self.bar.update(1)
        if (told := self._pace.after_step()) and self._file:
            self.say(told)

    def show(self, summary: dict[str, float], best: float, device: torch.device) -> None:
        """Figures beside the bar."""
        shown = {
            "loss": f"{summary['loss']:.5f}",
            "data wait": f"{100 * summary['data_wait']:.0f}%",
            "memory": f"{peak_memory_bytes(device) / 1e9:.1f}GB",
        }
        self.bar.set_postfix(shown if math.isinf(best) else {**shown, "best": f"{best:.3f}"})

    def close(self) -> None:
        self.bar.close()
        for opened in (self._file, self._board):
            if opened:
                opened.close()


def _open_log(path: Path, step: int, validated: int) -> TextIO:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if step and path.exists() else []
    with atomic_write(path) as file:
        file.write("".join(line + "\n" for line in lines if _is_told(line, step, validated)).encode())
    return open(path, "a", encoding="utf-8")


def _open_board(folder: Path, step: int) -> Any:
    """TensorBoard's writer, from `step` on; None where the package is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def _is_told(line: str, step: int, validated: int) -> bool:
    """Whether a log line is of what the checkpoint holds; not one that a power cut tore, or that is none."""
    try:
        values = files.parse_json(line)
        return isinstance(values["step"], int) and values["step"] <= (validated if "val_psnr" in values else step)
    except (ValueError, LookupError, TypeError):
        return False


@dataclass(frozen=True)
class Ending:
    """How a call of `train` ended."""

    step: int
    finished: bool
    best: float
    stopped_early: bool = False
    stopped_by: int = 0  # a signal's number

    def told(self, config: TrainConfig) -> str:
        """Of a run that was found at its end: that there is nothing to do, and how to have more steps."""
        why = "no better for --early-stop" if self.stopped_early else "all that it was to have"
        return (
            f"{config.folder}: finished at step {self.step}, {why}; nothing to do. For more steps begin a run from its "
            f"weights: python -m youku train --model {config.model} --scale {config.all_scales[0]} --init-from "
            f"{shlex.quote(str(config.folder))} --steps N --name {shlex.quote(config.name + '-2')}"
        )


@dataclass
class Stop:
    """Whether a run was told to stop, and by which signal."""

    by: int = 0
    """The signal's number; 0 while none came."""
    is_now: bool = False
    """Nothing would be lost: what is in work may break off."""

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a stop raises KeyboardInterrupt; what came just before it too."""
        self.is_now = True
        try:
            if self.by:
                raise KeyboardInterrupt
            yield
        finally:
            self.is_now = False


@contextmanager
def stop_flag(say: Say) -> Iterator[Stop]:
    """Told of Ctrl-C, SIGTERM or SIGHUP, the step in flight ends and the loop saves; a second signal ends it at once."""
    stop = Stop()

    def catch(number: int, frame: Any) -> None:
        is_second, stop.by = bool(stop.by), stop.by or number
        if is_second or stop.is_now:
            stops.interrupt(frame)
        with suppress(RuntimeError):  # stderr was in the middle of a line of its own
            if stops.is_hushed():
                return
            say("")
            say("stopping after this step; press Ctrl-C again to stop at once")

    try:  # one that is ignored (nohup) stays so
        heard = [number for number in stops.SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, catch) for number in heard}
    except ValueError:  # not the main thread: nobody can press Ctrl-C here
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
