"""Read and write YUV4MPEG2 (y4m) clips exactly: every header token, every plane, damage named by frame and byte.

A frame is a tuple of planes: Y (H, W), then U and V (ceil(H / sub_y), ceil(W / sub_x)), uint8 at 8 bit and
little-endian uint16 above; mono has Y alone. `Clip` is a file of random access; `StreamReader` reads pipes, stdin and
zip members; `Writer` writes to any binary file.
Memory follows the bytes that are there, never what a head claims.
"""

from __future__ import annotations

import io
import mmap
import os
import sys
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from youku import urls
from youku.files import atomic_write
from youku.video.y4m_header import CHROMA, MAGIC, MAX_LINE_BYTES, Header, Layout, Y4MError, make_header, parse_header

__all__ = ["CHROMA", "MAGIC", "Header", "Layout", "Y4MError", "make_header", "parse_header"]  # of here for importers
Planes = tuple[np.ndarray, ...]
LINE_BYTES = 64  # what a FRAME line fits in, mostly
BLOCK_BYTES = 1 << 26  # a stream's frame is allocated in blocks that double, as far as its bytes have come


class Clip:
    """A y4m file of random access: `frame(i)` is exact whatever bytes the pixels hold; nothing is read until asked for.

    Opening looks at the first and the last FRAME line and counts by arithmetic; every frame's own line is looked at
    when it is read, and `check` looks at all of them. A file that shrinks meanwhile is refused: frames are read, not
    mapped, since a map that is touched beyond the end of its file ends the process. Patches are copied out of a map; of
    a clip that gives many, `is_mapped` holds nothing else.
    Where the first `num_needed` frames will do, a file may be damaged after them and is taken to end there.
    """

    def __init__(self, path: str | Path, num_needed: int | None = None, is_mapped: bool = False) -> None:
        self.path, self._num_needed = Path(path), num_needed
        if self.path.exists() and not self.path.is_file():  # a pipe without a writer would never open
            raise Y4MError(
                f"{path}: expected a y4m file, found a {'folder' if self.path.is_dir() else 'pipe or device'}"
            )
        self._file = RandomFile(self.path, is_mapped)
        line = self._file.read(0, MAX_LINE_BYTES)
        line = line[: line.find(b"\n") + 1] or line
        self.header = parse_header(line, str(path))
        self._start, self._total_bytes = len(line), self._file.size()
        self._offsets: Sequence[int] = self._count_frames()

    def _count_frames(self) -> Sequence[int]:
        """Byte offset of every frame's first plane: all FRAME lines as long as the first, where the file's size says so."""
        end = self._line_end(0, self._start)
        step, total_bytes = end - self._start + self.header.frame_bytes, self._total_bytes
        is_even = (total_bytes - self._start) % step == 0 and self.header.frame_bytes >= MAX_LINE_BYTES
        offsets = range(end, total_bytes, step)
        return offsets if is_even and self._has_line(offsets[-1], end - self._start) else self._walk()

    def _walk(self) -> list[int]:
        """The same from FRAME line to FRAME line, touching one page a frame; damage is named by frame and byte."""
        self._require(self._total_bytes)
        offsets: list[int] = []
        frame_bytes, total_bytes, position = self.header.frame_bytes, self._total_bytes, self._start
        while position < total_bytes and len(offsets) != self._num_needed:
            end = self._line_end(len(offsets), position)
            if end + frame_bytes > total_bytes:
                raise _short_frame(str(self.path), len(offsets), end, frame_bytes, total_bytes - end)
            offsets.append(end)
            position = end + frame_bytes
        return offsets

    def _line_end(self, index: int, position: int) -> int:
        if position == self._total_bytes:
            raise Y4MError(f"{self.path}: has a header and 0 frames; fetch or make the file again")
        line = self._file.read(position, LINE_BYTES)
        if b"\n" not in line:
            line = self._file.read(position, MAX_LINE_BYTES)
        length = line.find(b"\n") + 1
        _check_frame_line(line[: length or 16], str(self.path), index, position)
        return position + length

    def _has_line(self, end: int, num_bytes: int) -> bool:
        """Whether a FRAME line of so many bytes ends there."""
        line = self._file.read(end - num_bytes, num_bytes)
        return line.startswith(b"FRAME") and line.find(b"\n") == num_bytes - 1 and line[5:6] in (b"\n", b" ")

    def check(self) -> None:
        """Y4MError unless every frame is where it should be."""
        if len(self._walk()) != self.num_frames:
            raise Y4MError(f"{self.path}: frames do not lie where the first FRAME line says; make the file again")

    @property
    def num_frames(self) -> int:
        return len(self._offsets)

    def frame(self, index: int) -> Planes:
        """All planes of one frame, read-only."""
        offset, num_bytes = self._offset(index), self.header.frame_bytes
        data = self._file.read(offset, num_bytes)
        if len(data) < num_bytes:
            self._require(offset + num_bytes)
        return split_planes(data, self.header, str(self.path), index)

    def _offset(self, index: int) -> int:
        if not 0 <= index < self.num_frames:
            raise IndexError(f"{self.path}: frame {index} of {self.num_frames}")
        offsets = self._offsets
        self._require(offsets[index] + self.header.frame_bytes)
        if isinstance(offsets, range) and not self._has_line(offsets[index], offsets[0] - self._start):
            self.check()
            self._offsets = self._walk()
        return self._offsets[index]

    def _require(self, num_bytes: int) -> None:
        """Y4MError where the file no longer has so many."""
        if (now := self._file.size()) < num_bytes:
            raise Y4MError(
                f"{self.path}: had {self._total_bytes} bytes, has {now} now; wait until it is written, run again"
            )

    def frame_params(self, index: int) -> str:
        """What follows the word FRAME and a blank on the frame's own line, usually nothing."""
        end = self._offset(index)
        start = self._offset(index - 1) + self.header.frame_bytes if index else self._start
        return self._file.read(start, end - start)[len(b"FRAME ") : -1].decode("latin-1")

    def patch(self, index: int, top_px: int, left_px: int, height_px: int, width_px: int) -> Planes:
        """`crop` of one frame, copied."""
        offset = self._offset(index)
        end = offset + self.header.frame_bytes
        self._file.need(offset, end)
        planes = _view(self._file.map(end), self.header, offset)
        cut = crop(planes, self.header.layout, top_px, left_px, height_px, width_px)
        return self.header.require_depth(tuple(plane.copy() for plane in cut), str(self.path), index)

    def __iter__(self) -> Iterator[Planes]:
        return (self.frame(index) for index in range(self.num_frames))


class StreamReader:
    """Frames of a binary stream in order (pipe, stdin, zip member), one by one; each frame's planes are fresh arrays."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        whole = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file  # a raw pipe gives less than asked
        line = whole.readline(MAX_LINE_BYTES)
        self.header = parse_header(line, name)
        self._file, self._name, self._position = whole, name, len(line)

    def __iter__(self) -> Iterator[Planes]:
        header, index = self.header, 0
        while line := self._file.readline(MAX_LINE_BYTES):
            _check_frame_line(line, self._name, index, self._position)
            self._position += len(line)
            data = self._read(header.frame_bytes)
            if len(data) < header.frame_bytes:
                raise _short_frame(self._name, index, self._position, header.frame_bytes, len(data))
            self._position += len(data)
            yield split_planes(data, header, self._name, index)
            index += 1
        if index == 0:
            raise Y4MError(f"{self._name}: has a header and 0 frames; fetch or make the file again")

    def _read(self, num_bytes: int) -> bytearray:
        """So many bytes, or what there is of them: memory follows what has come, not what a head claims."""
        data, num_read = bytearray(min(num_bytes, BLOCK_BYTES)), 0
        while True:
            with memoryview(data) as view:
                num_read += self._file.readinto(view[num_read:])  # type: ignore[attr-defined]
            if num_read < len(data) or num_read == num_bytes:
                del data[num_read:]
                return data
            data.extend(bytes(min(len(data), num_bytes - len(data))))


def split_planes(data: bytearray | bytes, header: Header, name: str, index: int) -> Planes:
    """View the raw bytes of one frame as its planes; Y4MError, naming file and frame, as Header.require_depth."""
    return header.require_depth(_view(data, header), name, index)


def _view(data: bytearray | bytes | mmap.mmap, header: Header, offset: int = 0) -> Planes:
    planes = []
    for shape in header.plane_shapes:
        planes.append(np.ndarray(shape, header.dtype, data, offset))
        offset += shape[0] * shape[1] * header.dtype.itemsize
    return tuple(planes)


def crop(planes: Planes, layout: Layout, top_px: int, left_px: int, height_px: int, width_px: int) -> Planes:
    """Cut a box given in luma pixels out of a frame, as views; top and left must fall on whole chroma samples."""
    cut = [planes[0][top_px : top_px + height_px, left_px : left_px + width_px]]
    sub_x, sub_y, _ = layout
    assert len(planes) == 1 or (top_px % sub_y == 0 and left_px % sub_x == 0), (top_px, left_px)
    for plane in planes[1:]:  # (ceil(H / sub_y), ceil(W / sub_x))
        rows = slice(top_px // sub_y, -(-(top_px + height_px) // sub_y))
        cut.append(plane[rows, left_px // sub_x : -(-(left_px + width_px) // sub_x)])
    return tuple(cut)


class Writer:
    """Write frames to a binary file; the header goes out at once."""

    def __init__(self, file: IO[bytes] | BinaryIO, header: Header) -> None:
        self._file, self.header, self.num_frames = file, header, 0
        file.write(header.encode())

    def write(self, planes: Planes, params: str = "") -> None:
        """Write one frame; `params` are kept after the word FRAME."""
        shapes = tuple(plane.shape for plane in planes)
        if shapes != self.header.plane_shapes or any(plane.dtype != self.header.dtype for plane in planes):
            raise Y4MError(
                f"frame {self.num_frames}: expected planes {self.header.plane_shapes} of {self.header.dtype}, "
                f"got {shapes} of {[str(plane.dtype) for plane in planes]}"
            )
        self._file.write(b"FRAME " + params.encode("latin-1") + b"\n" if params else b"FRAME\n")
        for plane in planes:
            self._file.write(np.ascontiguousarray(plane).data)
        self.num_frames += 1


@contextmanager
def create(path: str | Path, header: Header) -> Iterator[Writer]:
    """Write a y4m file that appears under its name only when whole, or stream to stdout where `path` is "-"."""
    if str(path) == "-":
        yield Writer(sys.stdout.buffer, header)
        sys.stdout.buffer.flush()
        return
    with atomic_write(path) as file:
        writer = Writer(file, header)
        yield writer
        if writer.num_frames == 0:
            raise Y4MError(f"{path}: nothing to write, the source gave 0 frames")


def _check_frame_line(line: bytes, name: str, index: int, position: int) -> None:
    if not line.startswith(b"FRAME") or not line.endswith(b"\n") or line[5:6] not in (b"\n", b" "):
        raise Y4MError(
            f"{name}: frame {index} at byte {position}: expected a FRAME line, got {line[:16]!r}; "
            "the file is damaged or its frame size is wrong"
        )


def _short_frame(name: str, index: int, position: int, expected: int, got: int) -> Y4MError:
    return Y4MError(
        f"{name}: frame {index} at byte {position}: expected {expected} bytes, got {got}; "
        "the file is cut off, fetch or make it again"
    )


class RandomFile:
    """An open file that many threads read anywhere at once; it stays the one that was opened, whatever gets its name.

    Where it is `mapped`, the map is all that is held of it: one descriptor, as thousands may be open.
    """

    def __init__(self, path: Path, is_mapped: bool = False) -> None:
        self._number = os.open(path, os.O_RDONLY)
        self._map: mmap.mmap | None = None
        close = weakref.finalize(self, os.close, self._number)
        self.need = urls.needs(path)
        """To be called with (start, end) before `map` is looked at there."""
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
        data = os.pread(self._number, num_bytes, start)
        while len(data) < num_bytes and (more := os.pread(self._number, num_bytes - len(data), start + len(data))):
            data += more  # the system may give less than asked
        return data

    def map(self, end: int) -> mmap.mmap:
        """All of it as memory, up to `end` at least, which it has to have: touching more than it has ends the process."""
        if self._map is None or len(self._map) < end:
            self._map = mmap.mmap(self._number, 0, access=mmap.ACCESS_READ)
            self._map.madvise(mmap.MADV_RANDOM)
        return self._map
