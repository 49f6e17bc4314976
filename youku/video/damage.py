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


def ends_early(path: str | Path, kind: str) -> str | None:
    """What shows that a video is cut short where its demuxer (FFmpeg's name, `kind`) keeps silent; None for nothing."""
    size = Path(path).stat().st_size
    with open(path, "rb") as file:
        if kind == "avi":  # the head of a RIFF file says how long it is; 0 and all ones are left by unfinished writers
            claimed = int.from_bytes(file.read(8)[4:], "little")
            is_cut = size < claimed + 8 < 1 << 32
        elif kind == "flv":  # every tag is followed by its length
            file.seek(max(0, size - 4))
            length = int.from_bytes(file.read(4), "big")
            file.seek(max(0, size - 4 - length))
            is_cut = length != 11 + int.from_bytes(file.read(4)[1:], "big")
        else:
            is_cut = kind == "mpegts" and all(size % packet for packet in (188, 192, 204))
    return "the file is cut short" if is_cut else None


def require_plausible(path: str | Path, claimed_bytes: int, what: str) -> None:
    """ValueError where `what` claims more than a file of this size can hold, before it costs memory."""
    size_bytes = Path(path).stat().st_size
    if claimed_bytes > FREE_BYTES + MOST_RATIO * size_bytes:
        raise ValueError(
            f"{path}: {what} claims {claimed_bytes} bytes, more than a file of {size_bytes} can hold; make it again"
        )
