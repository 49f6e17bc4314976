"""Who has how many threads: a network has torch's, all else one, none spins while it waits; and freed memory is kept.

torch's number of threads is each thread's own, but a thread that calls torch for the first time takes over the number
that any thread set last; so whoever wants to keep its own asks for it (`own_threads`) before it starts others, and every
thread that is started limits itself first (`limit_threads`).

glibc gives large blocks back to the system and takes them again page by page, for every layer of every frame: without
`keep_freed` FSRCNN's bare forward runs at about half its speed on two cores (benchmarks/predict.py; RESULTS.md).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

# The libraries read these when they load, so they are set with the package; what the user set stays. Left alone, a thread
# that waits for its team spins for milliseconds, which beside other work costs more than the work itself.
WAITING = {"GOMP_SPINCOUNT": "3000", "KMP_BLOCKTIME": "0", "OPENBLAS_NUM_THREADS": "1"}

_ours: set[str] = set()  # variables that take_one set, and not the user
MOST_KEPT_BYTES, STEP_BYTES = (1 << 31) - 1, 64 << 20
# number of mallopt(3), which a user sets by the environment: value
KEEPING = {
    "MALLOC_TRIM_THRESHOLD_": (-1, MOST_KEPT_BYTES),
    "MALLOC_TOP_PAD_": (-2, STEP_BYTES),
    "MALLOC_MMAP_MAX_": (-4, 0),  # a block of pages of its own is never kept
    "MALLOC_ARENA_MAX": (-8, 1),  # nor is one above 64 MB in a thread's own part of the heap
}


def wait_asleep() -> None:
    """Let threads of OpenMP that wait sleep, and numpy's products take one thread."""
    for name, value in WAITING.items():
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)


def take_one() -> None:
    """Let a process that runs no network take one thread: on planes torch's team gains little and waits for one another."""
    if "OMP_NUM_THREADS" not in os.environ:
        os.environ["OMP_NUM_THREADS"] = "1"
        _ours.add("OMP_NUM_THREADS")
        limit_loaded(1)  # it has read the variable already


def take_all() -> None:
    """Let a process that took one thread have all, since it runs a network after all."""
    if "OMP_NUM_THREADS" in _ours:
        limit_threads(cores())


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


def limit_loaded(number: int) -> None:
    """`limit_threads` where torch is loaded: what loads it later reads OMP_NUM_THREADS (`take_one`)."""
    if "torch" in sys.modules:
        limit_threads(number)


def keep_freed() -> None:
    """Keep freed memory in this process, for what it asks for next; what the user set stays, as does another C library."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):  # musl has no mallopt
        set_option = ctypes.CDLL(None).mallopt
        for name, option in KEEPING.items():
            if name not in os.environ:
                set_option(*option)
