"""A file in the making and the sha256 of what is in it, which a thread of its own makes where much is written."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import IO, Any

from youku import stops

LARGE_BYTES = 1 << 20  # frames from that size on are hashed beside the writing
MOST_WAITING = 32  # writes that are not hashed yet


@contextmanager
def beside(frame_bytes: int) -> Iterator[Executor | None]:
    """The thread that hashes frames of that size; None where handing them over would cost more than it saves."""
    with stops.workers(1, "hash") as (pool, _):  # starts no thread before it is given work
        yield pool if frame_bytes >= LARGE_BYTES else None


class Hashed:
    """What is written goes to the file at once, and into the hash in the same order; it must not change after."""

    def __init__(self, file: IO[bytes], pool: Executor | None = None) -> None:
        self.file, self._digest = file, hashlib.sha256()
        self._pool, self._waiting = pool, deque[Future[None]]()
        self._marked: tuple[int, str] = 0, ""

    def write(self, data: Any) -> None:
        self.file.write(data)
        if self._pool is None:
            self._digest.update(data)
            return
        self._waiting.append(self._pool.submit(self._digest.update, data))
        self._wait(MOST_WAITING)

    def mark(self, number: int) -> None:
        """What was written so far is `number` whole things; `marked` tells of the last ones."""
        if self._pool is None:
            self._mark(number)
        else:
            self._waiting.append(self._pool.submit(self._mark, number))

    def _mark(self, number: int) -> None:
        self._marked = number, self._digest.hexdigest()

    @property
    def marked(self) -> tuple[int, str]:
        """The last number that was marked, and the hash of all that had been written then."""
        self._wait(0)
        return self._marked

    def _wait(self, most: int) -> None:
        while len(self._waiting) > most:
            self._waiting[0].result()
            self._waiting.popleft()

    @property
    def digest(self) -> Any:
        """The hash of all that was written."""
        self._wait(0)
        return self._digest

    @digest.setter
    def digest(self, digest: Any) -> None:
        self._digest = digest

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
