"""Read and write YUV4MPEG2 (y4m) clips exactly: every header token, every plane, damage named by frame and byte.

A frame is a tuple of planes: Y (H, W), then U and V (ceil(H / sub_y), ceil(W / sub_x)), uint8 at 8 bit and
little-endian uint16 above; mono has Y alone. `Clip` maps a file into memory (random access, nothing is read
until touched); `StreamReader` reads pipes, stdin and zip members; `Writer` writes to any binary file.
Source: the yuv4mpeg(5) manual page of mjpegtools, and the chroma names that ffmpeg's yuv4mpegenc writes.
"""

from __future__ import annotations

import io
import mmap
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np

from youku.files import atomic_write

Planes = tuple[np.ndarray, ...]
Layout = tuple[int, int, str]  # (sub_x, sub_y, siting): chroma is W / sub_x by H / sub_y; (0, 0, ...) means no chroma
MAGIC = b"YUV4MPEG2"
MAX_LINE_BYTES = 4096  # longer header or FRAME lines are damage, not tokens
MAX_SIDE_PX = 32768

# Every chroma name that loads -> (sub_x, sub_y, siting) and bits a sample; siting is where a chroma sample lies among
# its luma samples. Above 8 bit ffmpeg writes 420p10 whatever the siting; left is what video codecs use.
CHROMA = {
    "420": ((2, 2, "center"), 8),
    "420jpeg": ((2, 2, "center"), 8),
    "420mpeg2": ((2, 2, "left"), 8),
    "420paldv": ((2, 2, "topleft"), 8),
    "422": ((2, 1, "left"), 8),
    "444": ((1, 1, "center"), 8),
    "mono": ((0, 0, "center"), 8),
}
_DEEP = {"420": (2, 2, "left"), "422": (2, 1, "left"), "444": (1, 1, "center"), "mono": (0, 0, "center")}
CHROMA |= {f"{name}{p}{bits}": (_DEEP[name], bits) for name in _DEEP for p in ("p", "") for bits in (9, 10, 12, 14, 16)}


class Y4MError(ValueError):
    """A file that is not a y4m clip, or a damaged one."""


@dataclass(frozen=True)
class Header:
    """A parsed header line; `tokens` keeps every token after the magic in order, so that writing it back is exact."""

    width: int
    height: int
    tokens: tuple[str, ...]

    @cached_property
    def chroma(self) -> str:
        """Chroma name without the C: "420mpeg2", "422", "mono10"; older tools say XYSCSS alone, none means 420jpeg."""
        own = [token[1:] for token in self.tokens if token.startswith("C")]
        older = [token[7:].lower() for token in self.tokens if token.startswith("XYSCSS=")]
        return [*own, *older, "420jpeg"][0]

    @cached_property
    def depth(self) -> int:
        """Bits a sample: 8 to 16."""
        return CHROMA[self.chroma][1]

    @cached_property
    def layout(self) -> Layout:
        return CHROMA[self.chroma][0]

    @cached_property
    def dtype(self) -> np.dtype:
        return np.dtype("<u2" if self.depth > 8 else "u1")

    @cached_property
    def plane_shapes(self) -> tuple[tuple[int, int], ...]:
        """(height, width) of each plane; odd sizes round up."""
        sub_x, sub_y, _ = self.layout
        luma = (self.height, self.width)
        if sub_x == 0:
            return (luma,)
        chroma = (-(-self.height // sub_y), -(-self.width // sub_x))
        return luma, chroma, chroma

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes of the planes of one frame, without its FRAME line."""
        return sum(height * width for height, width in self.plane_shapes) * self.dtype.itemsize

    @cached_property
    def fps(self) -> Fraction:
        """Frames a second; 25 where the header does not say (F absent or 0:0)."""
        rates = (re.fullmatch(r"F(0*[1-9]\d*):(0*[1-9]\d*)", token) for token in self.tokens)
        return next((Fraction(int(rate[1]), int(rate[2])) for rate in rates if rate), Fraction(25))

    @property
    def is_interlaced(self) -> bool:
        """True when the I token says top, bottom or mixed fields."""
        return any(token in ("It", "Ib", "Im") for token in self.tokens)

    @property
    def is_full_range(self) -> bool:
        """True where codes run from 0 to the highest, rather than from 16 to 235."""
        return "XCOLORRANGE=FULL" in self.tokens

    def at_rate(self, fps: Fraction) -> Header:
        """The same header with another F."""
        rate = f"F{fps.numerator}:{fps.denominator}"
        return replace(self, tokens=tuple(rate if token.startswith("F") else token for token in self.tokens))

    def resized(self, width: int, height: int) -> Header:
        """The same header with another W and H and every other token as it was."""
        tokens = tuple(
            f"W{width}" if token.startswith("W") else f"H{height}" if token.startswith("H") else token
            for token in self.tokens
        )
        return replace(self, width=width, height=height, tokens=tokens)

    def encode(self) -> bytes:
        return b" ".join([MAGIC, *(token.encode("latin-1") for token in self.tokens)]) + b"\n"


def make_header(width: int, height: int, fps: Fraction | int = 25, chroma: str = "420mpeg2") -> Header:
    """A header shaped like the contest's: W H F Ip A0:0 C XYSCSS."""
    rate = Fraction(fps)
    line = f"W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A0:0 C{chroma}"
    line += f" XYSCSS={chroma.upper()}" if chroma.startswith("420") else ""
    return parse_header(MAGIC + f" {line}\n".encode(), "new header")


def parse_header(line: bytes, name: str) -> Header:
    """Parse a header line, newline included; `name` is the file named in errors."""
    if not line.startswith(MAGIC + b" "):
        raise Y4MError(f"{name}: expected a y4m file (first bytes YUV4MPEG2), got {line[:16]!r}; convert it first")
    if not line.endswith(b"\n"):
        raise Y4MError(f"{name}: header is cut or longer than {MAX_LINE_BYTES} bytes; fetch or make the file again")
    tokens = tuple(line[len(MAGIC) + 1 : -1].decode("latin-1").split(" "))
    header = Header(_side(tokens, "W", name), _side(tokens, "H", name), tokens)
    if header.chroma not in CHROMA:
        raise Y4MError(
            f"{name}: chroma C{header.chroma} is not supported; expected 4:2:0, 4:2:2, 4:4:4 or mono, 8 to 16 bit "
            "(convert with: ffmpeg -i IN -pix_fmt yuv420p OUT.y4m)"
        )
    return header


def _side(tokens: tuple[str, ...], letter: str, name: str) -> int:
    values = [token[1:] for token in tokens if token.startswith(letter)]
    if len(values) != 1 or not re.fullmatch(r"\d{1,9}", values[0]) or not 0 < int(values[0]) <= MAX_SIDE_PX:
        got = " ".join(letter + value for value in values) or "none"
        raise Y4MError(f"{name}: expected one {letter} token with a whole number 1-{MAX_SIDE_PX}, got {got}")
    return int(values[0])


class Clip:
    """A y4m file mapped into memory: `frame(i)` is exact whatever bytes the pixels hold; planes are read-only views."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.is_dir():
            raise Y4MError(f"{path}: expected a y4m file, found a folder")
        with self.path.open("rb") as file:
            line = file.readline(MAX_LINE_BYTES)
            self.header = parse_header(line, str(path))
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            self._offsets = self._find_frames(len(line))
        except Y4MError:
            self._map.close()
            raise

    def _find_frames(self, position: int) -> list[int]:
        """Byte offset of every frame's first plane; jumps from FRAME line to FRAME line, touching one page a frame."""
        offsets: list[int] = []
        frame_bytes, total_bytes, where = self.header.frame_bytes, len(self._map), str(self.path)
        while position < total_bytes:
            end = self._map.find(b"\n", position, position + MAX_LINE_BYTES) + 1
            _check_frame_line(self._map[position : end or position + 16], where, len(offsets), position)
            if end + frame_bytes > total_bytes:
                raise _short_frame(where, len(offsets), end, frame_bytes, total_bytes - end)
            offsets.append(end)
            position = end + frame_bytes
        if not offsets:
            raise Y4MError(f"{where}: has a header and 0 frames; fetch or make the file again")
        return offsets

    @property
    def num_frames(self) -> int:
        return len(self._offsets)

    def frame(self, index: int) -> Planes:
        """All planes of one frame as read-only views of the file."""
        if not 0 <= index < self.num_frames:
            raise IndexError(f"{self.path}: frame {index} of {self.num_frames}")
        return split_planes(self._map, self.header, self._offsets[index])

    def frame_params(self, index: int) -> str:
        """What follows the word FRAME on the frame's own line, usually nothing."""
        end = self._offsets[index]
        start = self._map.rfind(b"FRAME", max(0, end - MAX_LINE_BYTES), end)
        return self._map[start + 5 : end - 1].decode("latin-1").strip()

    def patch(self, index: int, top_px: int, left_px: int, height_px: int, width_px: int) -> Planes:
        """`crop` of one frame."""
        return crop(self.frame(index), self.header.layout, top_px, left_px, height_px, width_px)

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
            data = bytearray(header.frame_bytes)
            got = self._file.readinto(data)  # type: ignore[attr-defined]
            if got < len(data):
                raise _short_frame(self._name, index, self._position, len(data), got)
            self._position += got
            yield split_planes(data, header)
            index += 1
        if index == 0:
            raise Y4MError(f"{self._name}: has a header and 0 frames; fetch or make the file again")


def split_planes(data: bytearray | bytes | mmap.mmap, header: Header, offset: int = 0) -> Planes:
    """View the raw bytes of one frame, from `offset` on, as its planes."""
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
