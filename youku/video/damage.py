"""Turn what a parser raises over a damaged or hostile file into one sentence, and bound what such a file may cost.

A file's size and what it claims -> nothing, or ValueError naming the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FREE_BYTES = 1 << 26  # what any file may claim
MOST_RATIO = 2000  # and above that, bytes a byte of the file: deflate, the best packer of samples here, gives 1032
_RAISED = (ValueError, LookupError, TypeError, ArithmeticError, AttributeError, RuntimeError, SyntaxError, EOFError)


@contextmanager
def worded(path: str | Path, what: str) -> Iterator[None]:
    """Errors of a parser become "PATH: damaged WHAT (...)"; those that name the file already, and the system's, pass."""
    try:
        yield
    except (*_RAISED, OSError, MemoryError, struct.error, zlib.error) as error:
        if str(error).startswith(f"{path}: ") or (isinstance(error, OSError) and error.errno is not None):
            raise
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(f"{path}: not {what} or a damaged one ({told}); make it again") from None


def require_plausible(path: str | Path, claimed_bytes: int, what: str) -> None:
    """ValueError where `what` claims more than a file of this size can hold, before it costs memory."""
    size_bytes = Path(path).stat().st_size
    if claimed_bytes > FREE_BYTES + MOST_RATIO * size_bytes:
        raise ValueError(
            f"{path}: {what} claims {claimed_bytes} bytes, more than a file of {size_bytes} can hold; make it again"
        )
