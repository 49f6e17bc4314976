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

    def write(self, data: Any) -> None:
        self.file.write(data)
        if self._pool is None:
            self._digest.update(data)
            return
        self._waiting.append(self._pool.submit(self._digest.update, data))
        if len(self._waiting) > MOST_WAITING:
            self._waiting.popleft().result()

    @property
    def digest(self) -> Any:
        """The hash of all that was written."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._digest

    @digest.setter
    def digest(self, digest: Any) -> None:
        self._digest = digest

    def sync(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
