"""How long a network takes: milliseconds a batch of low-resolution pictures, as the FSRCNN document measures.

Network inputs -> medians: Set5 x4, batch 8, 100 warm-up runs, median of 1,000. Its batch is read as copies of one
picture, since the pictures of a set differ in size; they take turns.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from youku import cli
from youku.engines.network import Network
from youku.text_table import plural

if TYPE_CHECKING:
    import torch

    from youku.inference.pipeline import Options
    from youku.models.colours import Tensors


@dataclass(frozen=True, kw_only=True)
class Runs:
    """How much is run; the defaults are the document's."""

    time_batch: int = cli.option(8, "pictures a run (8)", type=int, metavar="N")
    warm_up: int = cli.option(100, "runs not counted (100)", type=int, metavar="N")
    iterations: int = cli.option(1000, "runs timed (1000)", type=int, metavar="N")

    def __post_init__(self) -> None:
        if self.time_batch < 1 or self.iterations < 1 or self.warm_up < 0:
            raise ValueError(
                f"--time-batch {self.time_batch}, --warm-up {self.warm_up}, --iterations {self.iterations}: "
                "expected a batch and iterations of 1 or more, a warm-up of 0 or more"
            )


def measure(
    network: Network,
    inputs: Sequence[Tensors],
    options: Options,
    runs: Runs,
    watch: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> tuple[dict[str, object], str]:
    """Run batches of each network input (1, T C, h, w) in turn, already on the device; the runs go through `watch`.

    Returns the median of all as data, and as a sentence.
    """
    batches = [tuple(part.repeat(runs.time_batch, 1, 1, 1) for part in x) for x in inputs]
    taken = [
        _forward_ms(network, batches[at % len(batches)], options) for at in watch(range(runs.warm_up + runs.iterations))
    ]
    median_ms = statistics.median(taken[runs.warm_up :])
    told = (
        f"{network.spec.name}: {median_ms:.2f} ms a batch of {runs.time_batch} on {network.device}, "
        f"median of {plural(runs.iterations, 'run')} after {runs.warm_up} warm-up"
    )
    return {"median_ms": median_ms, "batch": runs.time_batch, "device": str(network.device)}, told


def _forward_ms(network: Network, batch: Tensors, options: Options) -> float:
    from youku.inference import pipeline, tiles  # with torch

    if network.spec.local and not options.tile_px:  # chosen before: a GPU is slow to tell its free memory
        options = replace(options, tile_px=tiles.choose_tile_px(network, batch))
    wait(network.device)
    start = time.perf_counter()
    pipeline.run_network(network, batch, options)
    wait(network.device)
    return 1000 * (time.perf_counter() - start)


def wait(device: torch.device) -> None:
    """Until the device has finished what it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
