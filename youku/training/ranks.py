"""Who else trains a run: one process of one, whose calls do nothing; `distributed.Processes` has the same for many.

No step asks how many there are.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

Items = TypeVar("Items", list, np.ndarray, Tensor)


@dataclass(frozen=True)
class Ranks:
    """Who else trains this run: rank 0 of 1, for which each call does nothing; `distributed.Processes` has the same calls."""

    is_writer: bool = True
    """Whether this process writes the run's files."""

    def share(self, items: Items) -> Items:
        """This process's slice of what all of them work on."""
        return items

    def mean(self, value: float) -> float:
        """The mean over all processes."""
        return value

    def most(self, *values: int) -> tuple[int, ...]:
        """The largest of each over all processes."""
        return values

    def gather(self, items: list) -> list:
        """What all of them made of their slices, in order."""
        return items

    def batch_mean(self, values: Tensor) -> Tensor:
        """The mean over the values of all processes, for each of which it has a gradient."""
        return values.mean()

    def uniform(self, number: int) -> Tensor:
        """Random numbers in [0, 1): this process's slice of those that one process would draw."""
        return torch.rand(number)

    def average(self, module: nn.Module) -> None:
        """Gradients become their mean over all processes."""

    def share_statistics(self, module: nn.Module) -> None:
        """Batch norms see the patches of all processes from now on."""

    def barrier(self) -> None:
        """Wait until all are here."""

    def require_same(self, own: dict[str, str]) -> None:
        """ValueError where another process has another version, setting or whatever is named."""


ONE_PROCESS = Ranks()


def is_worker() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def is_restart() -> bool:
    """Whether torchrun started this process in the place of one that had died."""
    return is_worker() and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0"
