"""A file in the making and the digest of what is in it; of large frames both are made by threads beside the caller.

A digest is the sha256 of the sha256 of every CHUNK of the bytes, so that several threads can make it: one alone hashes
some 400 frames of 1080p a second, which a GPU makes more of.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from youku import stops

CHUNK = 1 << 20
LARGE_BYTES = 1 << 20  # frames from that size on are written and hashed beside the caller
MOST_THREADS, MOST_WAITING = 4, 32  # chunks that are not done yet

Mark = tuple[int, Sequence[memoryview]]
"""A place in what was digested: whole chunks, and what is there of the next one."""


@contextmanager
def beside(frame_bytes: int) -> Iterator[Executor | None]:
    """The threads for frames of that size; None where handing them over would cost more than it saves."""
    with stops.workers(min(MOST_THREADS, os.cpu_count() or 1), "hash") as (pool, _):  # none starts before there is work
        yield pool if frame_bytes >= LARGE_BYTES and hasattr(os, "pwrite") else None


def of_file(path: str | Path) -> str:
    """The digest of a whole file."""
    with beside(Path(path).stat().st_size) as pool, open(path, "rb") as file:
        made = Hashed(file, pool)
        made.is_there = True
        while data := file.read(CHUNK):
            made.write(data)
        return made.hexdigest(made.mark())


class Hashed:
    """The digest of bytes that come one after the other, and the file that they are written to from its first byte on.

    A `pool`, which writes and hashes, wants them unchanged after.
    """

    def __init__(self, file: IO[bytes], pool: Executor | None = None) -> None:
        self.file, self._pool, self._chunks = file, pool, list[bytes | Future[bytes]]()
        self._open, self._open_bytes = list[memoryview](), 0
        self.is_there = False
        """Whether what comes is in the file already."""

    def write(self, data: Any) -> None:
        if self._pool is None and not self.is_there:
            self.file.write(data)
        view = memoryview(data).cast("B")
        while view:
            part = view[: CHUNK - self._open_bytes]
            self._open.append(part if self._pool else memoryview(bytes(part)))
            self._open_bytes += len(part)
            view = view[len(part) :]
            if self._open_bytes == CHUNK:
                self._close()

    def mark(self) -> Mark:
        return len(self._chunks), tuple(self._open)

    def back_to(self, mark: Mark) -> None:
        """Forget what came after."""
        del self._chunks[mark[0] :]
        self._open = list(mark[1])
        self._open_bytes = sum(map(len, self._open))

    def hexdigest(self, mark: Mark) -> str:
        """Of all that came before."""
        self.wait()
        chunks = [chunk for chunk in self._chunks[: mark[0]] if isinstance(chunk, bytes)]
        return hashlib.sha256(b"".join([*chunks, *([_sha256(mark[1])] if mark[1] else [])])).hexdigest()

    def wait(self, most: int = 0) -> None:
        """Until at most so many chunks are not done; raises what one of them met. All before a chunk that is done are."""
        first = len(self._chunks)
        while first and not isinstance(self._chunks[first - 1], bytes):
            first -= 1
        for index in range(first, len(self._chunks) - most):
            if not isinstance(chunk := self._chunks[index], bytes):
                self._chunks[index] = chunk.result()

    def _close(self) -> None:
        number, parts = len(self._chunks), self._open
        self._open, self._open_bytes = [], 0
        self._chunks.append(
            self._pool.submit(self._finish, number, parts) if self._pool else self._finish(number, parts)
        )
        self.wait(MOST_WAITING)

    def _finish(self, number: int, parts: Sequence[memoryview]) -> bytes:
        """Write and hash a chunk, beside others and in any order."""
        if self._pool and not self.is_there:
            self._put(number, parts)
        return _sha256(parts)

    def sync(self, mark: Mark) -> None:
        """All that came before is in the file, and safe."""
        self.wait()
        if self._pool:
            self._put(*mark)  # of a chunk that is not whole, and once more with the rest of it
        self.file.flush()
        os.fsync(self.file.fileno())

    def _put(self, number: int, parts: Sequence[memoryview]) -> None:
        """Write a chunk where it belongs, whatever is written meanwhile."""
        place = number * CHUNK
        for part in parts:
            while part:
                written = os.pwrite(self.file.fileno(), part, place)
                place, part = place + written, part[written:]


def _sha256(parts: Sequence[memoryview]) -> bytes:
    made = hashlib.sha256()
    for part in parts:
        made.update(part)
    return made.digest()
