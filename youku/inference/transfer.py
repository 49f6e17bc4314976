"""From a device to the host while the device goes on: integers through pinned memory, on a stream of their own.

Where there is no such device everything is there at once and nothing is copied.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor


def send(parts: Sequence[Tensor]) -> Callable[[], list[np.ndarray]]:
    """Begin to bring tensors to the host; what comes back waits for them and gives them as arrays, which are the caller's."""
    device = parts[0].device
    if device.type != "cuda":
        here = [part.cpu().numpy() for part in parts]
        return lambda: here
    beside = _stream(device)
    beside.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(beside):
        # pinned memory comes from torch's cache, and goes back to it with the last array that looks at it
        there = [torch.empty(part.shape, dtype=part.dtype, pin_memory=True) for part in parts]
        for host, part in zip(there, parts, strict=True):
            host.copy_(part, non_blocking=True)
            part.record_stream(beside)
        done = beside.record_event()

    def arrived() -> list[np.ndarray]:
        done.synchronize()
        return [host.numpy() for host in there]

    return arrived


class Span:
    """How long a device works on what is given to it between the two ends of the block; asked once that is done."""

    def __init__(self, device: torch.device) -> None:
        self._ends: list[Any] = []  # events of a GPU, seconds of a clock
        self._device = device

    def __enter__(self) -> Span:
        self._mark()
        return self

    def __exit__(self, *_: object) -> None:
        self._mark()

    def _mark(self) -> None:
        if self._device.type == "cuda":  # not always the thread's own
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self._device))
            self._ends.append(event)
        else:
            self._ends.append(time.monotonic())

    @property
    def seconds(self) -> float:
        """0 where there was no block."""
        if not self._ends:
            return 0.0
        first, last = self._ends
        return first.elapsed_time(last) / 1000 if self._device.type == "cuda" else last - first


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
