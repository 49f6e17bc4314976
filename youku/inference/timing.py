"""Time a network's forward pass on whole pictures: the FSRCNN document's benchmark.

Low-resolution planes -> milliseconds for a batch. The document: Set5 x4, batch 8, 100 warm-up runs, median of 1,000.
Its batch is read as copies of one picture, since the pictures of a set differ in size; they take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from youku.engines.network import Network
from youku.inference import pipeline
from youku.inference.pipeline import Options
from youku.models.colours import Tensors


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How much is run; the defaults are the document's."""

    batch: int = 8
    warm_up: int = 100
    iterations: int = 1000

    def __post_init__(self) -> None:
        if self.batch < 1 or self.iterations < 1 or self.warm_up < 0:
            raise ValueError(
                f"--time-batch {self.batch}, --warm-up {self.warm_up}, --iterations {self.iterations}: "
                "expected a batch and iterations of 1 or more, a warm-up of 0 or more"
            )


@dataclass(frozen=True)
class Times:
    """Milliseconds of one batch: the median over all runs, and over each picture's own (nan where it had none)."""

    median_ms: float
    picture_ms: tuple[float, ...]


def measure(
    network: Network,
    inputs: Sequence[Tensors],
    options: Options,
    runs: Runs,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Times:
    """Run batches of each network input (1, T C, h, w) in turn, already on the device; the runs go through `watch`."""
    batches = [tuple(part.repeat(runs.batch, 1, 1, 1) for part in x) for x in inputs]
    taken: list[list[float]] = [[] for _ in inputs]
    for step in watch(range(runs.warm_up + runs.iterations)):
        which = step % len(batches)
        elapsed_ms = _forward_ms(network, batches[which], options)
        if step >= runs.warm_up:
            taken[which].append(elapsed_ms)
    each = tuple(statistics.median(values) if values else float("nan") for values in taken)
    return Times(statistics.median([value for values in taken for value in values]), each)


def _forward_ms(network: Network, batch: Tensors, options: Options) -> float:
    _wait(network.device)
    start = time.perf_counter()
    pipeline.run_network(network, batch, options)
    _wait(network.device)
    return 1000 * (time.perf_counter() - start)


def _wait(device: torch.device) -> None:
    """Until the device has finished what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
