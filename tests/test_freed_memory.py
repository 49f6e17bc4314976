"""What a process of the kit keeps of the memory that it freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import mmap, resource, sys
from concurrent.futures import ThreadPoolExecutor
from youku import cli

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def fill():
    for _ in range(4):
        bytearray(NUM_BYTES)  # is filled, and freed

def act():
    before = faults()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(fill).result()
    print((faults() - before) * mmap.PAGESIZE / NUM_BYTES)
    return 0

NUM_BYTES = int(sys.argv[1]) << 20
cli.guard(act, "predict", True)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has mallopt")
@pytest.mark.parametrize(("wanted", "times"), [({}, 1), ({"MALLOC_MMAP_MAX_": "99"}, 4)])
@pytest.mark.parametrize("num_mb", [48, 96])  # a thread's own part of the heap ends at 64
def test_freed_memory_is_kept(wanted: dict[str, str], times: int, num_mb: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large block that a thread asks for again costs its pages once; every time where the user wants it so."""
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    told = subprocess.run(
        [sys.executable, "-c", FAULTS, str(num_mb)], capture_output=True, text=True, check=True
    ).stdout
    assert times - 0.3 < float(told) < times + 0.3
