"""Deflate one stream in several threads, as pigz does: each block takes the 32 KB before it as its dictionary.

Bytes in, one raw deflate stream out, the same whatever the number of threads; with the interface of zlib.compressobj.
Every block but the last ends at a whole byte (Z_SYNC_FLUSH), which costs about 6 bytes of a megabyte.

Source: RFC 1951; M. Adler, pigz.
"""

from __future__ import annotations

import zlib
from collections import deque
from concurrent.futures import Executor, Future

BLOCK_BYTES = 1 << 20
WINDOW_BYTES = 1 << 15  # how far back deflate looks


class Deflater:
    """A compressor whose blocks the `number` threads of `pool` pack; at most two blocks a thread wait in memory."""

    def __init__(self, pool: Executor, number: int, level: int) -> None:
        self._pool, self._most, self._level = pool, 2 * number, level
        self._rest, self._before = bytearray(), b""
        self._waiting: deque[Future[bytes]] = deque()

    def compress(self, data: bytes) -> bytes:
        """Take more; returns what is packed so far and was not returned before."""
        self._rest += data
        while len(self._rest) > BLOCK_BYTES:  # what may be the last block stays for `flush`
            self._begin(bytes(self._rest[:BLOCK_BYTES]), zlib.Z_SYNC_FLUSH)
            del self._rest[:BLOCK_BYTES]
        return self._packed(self._most)

    def flush(self) -> bytes:
        """The end of the stream."""
        self._begin(bytes(self._rest), zlib.Z_FINISH)
        return self._packed(0)

    def _begin(self, block: bytes, ending: int) -> None:
        self._waiting.append(self._pool.submit(_deflate, self._level, self._before, block, ending))
        self._before = block[-WINDOW_BYTES:]

    def _packed(self, most: int) -> bytes:
        """The blocks that came first, until at most so many wait."""
        return b"".join(self._waiting.popleft().result() for _ in range(len(self._waiting) - most))


def _deflate(level: int, before: bytes, block: bytes, ending: int) -> bytes:
    packer = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=before)
    return packer.compress(block) + packer.flush(ending)
