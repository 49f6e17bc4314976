"""What a process of the kit keeps of the memory that it freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import mmap, resource, sys
from youku import cli

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def act():
    before = faults()
    for _ in range(4):
        bytearray(NUM_BYTES)  # is filled, and freed
    print((faults() - before) * mmap.PAGESIZE / NUM_BYTES)
    return 0

NUM_BYTES = 48 << 20
cli.guard(act, "predict", True)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has mallopt")
@pytest.mark.parametrize(("wanted", "times"), [({}, 1), ({"MALLOC_MMAP_MAX_": "99"}, 4)])
def test_freed_memory_is_kept(wanted: dict[str, str], times: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large block that comes again costs its pages once; every time where the user wants it so."""
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    told = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True).stdout
    assert times - 0.3 < float(told) < times + 0.3
