"""Who else trains: the room for several processes that share one run, of which this process is one.

The sampler takes its slice of a batch here, saving and logging ask who writes, logged figures are means over all. One
process is rank 0 of 1, for which every call does nothing, so that neither the step nor the loop has a branch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np

Items = TypeVar("Items", list, np.ndarray)


@dataclass(frozen=True)
class Ranks:
    """Rank 0 of 1; a form for several processes answers the same calls."""

    is_writer: bool = True
    """Whether this process writes the run's files."""

    def share(self, items: Items) -> Items:
        """This process's slice of what all of them work on."""
        return items

    def mean(self, value: float) -> float:
        """The mean over all processes."""
        return value

    def barrier(self) -> None:
        """Wait until all are here."""


ONE_PROCESS = Ranks()
