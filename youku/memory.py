"""What the C library does with memory that was freed: a process that enlarges or trains asks for the same blocks again.

glibc gives large blocks back to the system and takes them again page by page, for every layer of every frame: without it
FSRCNN's bare forward runs at about half its speed on two cores (benchmarks/predict.py; RESULTS.md).
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress

MOST_KEPT_BYTES, STEP_BYTES = (1 << 31) - 1, 64 << 20
# number of mallopt(3), which a user sets by the environment: value
OPTIONS = {
    "MALLOC_TRIM_THRESHOLD_": (-1, MOST_KEPT_BYTES),
    "MALLOC_TOP_PAD_": (-2, STEP_BYTES),
    "MALLOC_MMAP_MAX_": (-4, 0),  # a block of pages of its own is never kept
}


def keep_freed() -> None:
    """Keep freed memory in this process, for what it asks for next; what the user set stays, as does another C library."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    with suppress(OSError, AttributeError):  # musl has no mallopt
        set_option = ctypes.CDLL(None).mallopt
        for name, option in OPTIONS.items():
            if name not in os.environ:
                set_option(*option)
