"""A file that many threads read anywhere at once: bytes copied out, or mapped into memory for small pieces."""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from pathlib import Path

from youku import copies


class RandomFile:
    """An open file without a position. It stays the one that was opened, whatever is moved to its name meanwhile.

    Where it is `mapped`, the map is all that is held of it: one descriptor, as thousands may be open.
    """

    def __init__(self, path: Path, is_mapped: bool = False) -> None:
        self._number = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._map: mmap.mmap | None = None
        close = weakref.finalize(self, os.close, self._number)
        self.need = copies.needs(path)
        """To be called with (start, end) before `map` is looked at there."""
        self._lock = threading.Lock()
        if hasattr(os, "posix_fadvise"):  # pieces lie anywhere; whole frames are asked for as such
            os.posix_fadvise(self._number, 0, 0, os.POSIX_FADV_RANDOM)
        self._is_mapped = is_mapped and self.size() > 0
        if self._is_mapped:
            self.map(1)
            close()

    def size(self) -> int:
        """Bytes that it has now."""
        return self._map.size() if self._map and self._is_mapped else os.fstat(self._number).st_size

    def read(self, start: int, num_bytes: int) -> bytes:
        """So many bytes, or what there is of them."""
        self.need(start, start + num_bytes)
        if self._map and self._is_mapped:  # whoever opened it so asks for its size first
            return self._map[start : start + num_bytes]
        data = self._read_once(start, num_bytes)
        while len(data) < num_bytes and (more := self._read_once(start + len(data), num_bytes - len(data))):
            data += more  # the system may give less than asked
        return data

    def _read_once(self, start: int, num_bytes: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._number, num_bytes, start)
        with self._lock:  # Windows
            os.lseek(self._number, start, os.SEEK_SET)
            return os.read(self._number, num_bytes)

    def map(self, end: int) -> mmap.mmap:
        """All of it as memory, up to `end` at least, which it has to have: touching more than it has ends the process."""
        if self._map is None or len(self._map) < end:
            self._map = mmap.mmap(self._number, 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_RANDOM"):
                self._map.madvise(mmap.MADV_RANDOM)
        return self._map
