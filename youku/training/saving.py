"""When a run's state is written: at every save and every stop, also in the middle of a step too long to be waited for.

A stop lets the step in flight end and saves, where that is done within the time of a stop. A step that lasts longer is
given up: what the state was before it has been copied, and a thread writes that copy while the main thread may still be
in the step. So a stop costs at most the step in flight, and the same run goes on from before it. Only where writing a
state takes longer than a stop has (1.4 s: some 100 MB on a slow disk) does the save before it stay: at most MOST_SEC old.
"""

from __future__ import annotations

import copy
import shlex
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from youku import stops
from youku.inference import tiles
from youku.training.config import TrainConfig
from youku.training.progress import Say
from youku.training.state import RunState, content_of, write

SLOW_SEC = 0.2  # a step and a save of so long are done within a stop even at a fifth of their speed
MOST_SEC = 300.0  # between two saves, however many steps lie between them
TICK_SEC = 0.05
BACKED_UP = ("config.toml", "log.jsonl", "best.safetensors", "pretrained.safetensors", "last.safetensors", "last.pt")
"""In this order, as what last.pt goes on from must be there when it is."""


class Saver:
    """Writes the state of one run; the newer one stays, whichever thread writes it."""

    def __init__(self, state: RunState, config: TrainConfig, say: Say) -> None:
        self._state, self._config, self._say = state, config, say
        self._backed_up: dict[str, str] = {}
        self._lock = threading.Lock()
        self._copy: dict[str, Any] | None = None
        self._step, self._when = state.step, time.monotonic()  # of the last save
        self._save_sec, self._may_copy = 0.0, True

    @property
    def is_due(self) -> bool:
        """Whether so much time has gone that a power cut would cost too much."""
        return time.monotonic() - self._when > MOST_SEC

    def save(self) -> None:
        """Write the state as it is."""
        with self._lock:
            began = time.monotonic()
            self._copy = None
            if self._state.ranks.is_writer:
                write(content_of(self._state), self._config)
            self._step, self._when = self._state.step, time.monotonic()
            self._save_sec = self._when - began
            if self._state.ranks.is_writer:
                self._back_up()
        self._state.ranks.barrier()

    def _back_up(self) -> None:
        """What a store does not take is told, and training goes on; what is half sent at a stop never appears there."""
        if not self._config.backup or stops.caught():
            return
        from youku import stores

        paths = [self._config.folder / name for name in BACKED_UP]
        try:
            stores.back_up([path for path in paths if path.exists()], self._config.backup, self._backed_up)
        except (OSError, ValueError) as error:
            self._say(f"step {self._state.step}: not backed up, training goes on: {error}")

    def after_step(self, step_sec: float) -> None:
        """Copy the state where a step like the one just taken, and a save, are too long for a stop.

        After a short step the main thread saves as soon as the other one could, however long that takes.
        """
        is_slow = step_sec > TICK_SEC and step_sec + self._save_sec >= SLOW_SEC
        if not is_slow or not self._may_copy or not self._state.ranks.is_writer:
            return
        try:
            self._copy = copy.deepcopy(content_of(self._state))
        except (MemoryError, RuntimeError) as error:
            if not tiles.is_out_of_memory(error):
                raise
            self._copy, self._may_copy = None, False

    def _wait_for_stop(self, over: threading.Event) -> None:
        while not over.wait(TICK_SEC):
            if stops.caught():
                with suppress(Exception), self._lock:  # the main thread tells of a full disk; here nobody listens
                    if self._copy and self._copy["step"] > self._step:
                        write(self._copy, self._config)
                        self._step = self._copy["step"]
                return


@contextmanager
def saver(state: RunState, config: TrainConfig, say: Say) -> Iterator[Saver]:
    """What saves a run, and the thread that hears of a stop whatever the main thread does."""
    made, over = Saver(state, config, say), threading.Event()
    thread = threading.Thread(target=made._wait_for_stop, args=(over,), name="saver", daemon=True)
    thread.start()
    try:
        yield made
    finally:
        over.set()
        thread.join()  # what it writes is whole before anything is told of it


def kept(folder: Path) -> str:
    """What a stopped run leaves, and what to do with it."""
    if not (folder / "last.pt").exists():
        return "nothing was saved yet"
    last, held = folder / "last.safetensors", f"{folder / 'last.pt'} holds its state"
    with suppress(OSError, SafetensorError, LookupError, TypeError):  # killed between the two files
        with safe_open(last, framework="pt") as file:  # its tensors are left alone
            held = f"{last} holds its weights of step {file.metadata()['step']}"
    return f"{held}; go on with: python -m youku train --resume {shlex.quote(str(folder))}"
