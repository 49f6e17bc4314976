"""Who has how many threads: a network has torch's, everything else has one, and none spins while it waits.

torch's number of threads is each thread's own, but a thread that calls torch for the first time takes over the number
that any thread set last; so whoever wants to keep its own asks for it (`own_threads`) before it starts others, and every
thread that is started limits itself first (`limit_threads`).
"""

from __future__ import annotations

import os
import sys

# The libraries read these when they load, so they are set with the package; what the user set stays. Left alone, a thread
# that waits for its team spins for milliseconds, which beside other work costs more than the work itself.
WAITING = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0", "OPENBLAS_NUM_THREADS": "1"}


def wait_asleep() -> None:
    """Let threads of OpenMP that wait sleep, and numpy's products take one thread."""
    for name, value in WAITING.items():
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)


def take_one() -> None:
    """Let a process that runs no network take one thread: on planes torch's team gains little and waits for one another."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        if "torch" in sys.modules:  # it has read the variable already
            limit_threads(1)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def own_threads() -> int:
    """How many threads torch may use in the calling thread, from now on whatever others set."""
    import torch

    return torch.get_num_threads()


def limit_threads(number: int) -> None:
    """Let torch use `number` threads in the calling thread alone."""
    import torch

    own_threads()  # its first call takes over another's number, so that call is got over with
    torch.set_num_threads(number)
