"""The header line of a y4m file: parsed, checked, written back token by token.

Source: the yuv4mpeg(5) manual page of mjpegtools, and the chroma names that ffmpeg's yuv4mpegenc writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

MAGIC = b"YUV4MPEG2"
MAX_LINE_BYTES = 4096  # longer header or FRAME lines are damage, not tokens
MAX_SIDE_PX = 32768

# name -> (sub_x, sub_y, siting); siting is where a chroma sample lies among its luma samples.
# Above 8 bit ffmpeg writes 420p10 whatever the siting; left is what video codecs use.
_CHROMA = {
    "420": (2, 2, "center"),
    "420jpeg": (2, 2, "center"),
    "420mpeg2": (2, 2, "left"),
    "420paldv": (2, 2, "topleft"),
    "422": (2, 1, "left"),
    "444": (1, 1, "center"),
    "mono": (0, 0, "center"),
}
_DEEP = re.compile(r"(420|422|444|mono)p?(9|10|12|14|16)")


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
        """Chroma name without the C: "420mpeg2", "422", "mono10"; a header without one means 420jpeg."""
        for token in self.tokens:
            if token.startswith("C"):
                return token[1:]
        for token in self.tokens:  # older tools say it in an X token only
            if token.startswith("XYSCSS="):
                return token.removeprefix("XYSCSS=").lower()
        return "420jpeg"

    @cached_property
    def depth(self) -> int:
        """Bits a sample: 8 to 16."""
        match = _DEEP.fullmatch(self.chroma)
        return int(match[2]) if match else 8

    @cached_property
    def layout(self) -> tuple[int, int, str]:
        """(sub_x, sub_y, siting): chroma is W / sub_x by H / sub_y; (0, 0, ...) means no chroma."""
        match = _DEEP.fullmatch(self.chroma)
        if match:
            sub_x, sub_y, _ = _CHROMA[match[1]]
            return sub_x, sub_y, "left" if sub_x == 2 else "center"
        return _CHROMA[self.chroma]

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
        for token in self.tokens:
            match = re.fullmatch(r"F(\d+):(\d+)", token)
            if match and int(match[1]) and int(match[2]):
                return Fraction(int(match[1]), int(match[2]))
        return Fraction(25)

    @property
    def is_interlaced(self) -> bool:
        """True when the I token says top, bottom or mixed fields."""
        return any(token in ("It", "Ib", "Im") for token in self.tokens)

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
    tokens = [f"W{width}", f"H{height}", f"F{rate.numerator}:{rate.denominator}", "Ip", "A0:0", f"C{chroma}"]
    if chroma.startswith("420"):
        tokens.append(f"XYSCSS={chroma.upper()}")
    return parse_header(b" ".join([MAGIC, *(token.encode() for token in tokens)]) + b"\n", "new header")


def parse_header(line: bytes, name: str) -> Header:
    """Parse a header line, newline included; `name` is the file named in errors."""
    if not line.startswith(MAGIC + b" "):
        raise Y4MError(f"{name}: expected a y4m file (first bytes YUV4MPEG2), got {line[:16]!r}; convert it first")
    if not line.endswith(b"\n"):
        raise Y4MError(f"{name}: header is cut or longer than {MAX_LINE_BYTES} bytes; fetch or make the file again")
    tokens = tuple(line[len(MAGIC) + 1 : -1].decode("latin-1").split(" "))
    header = Header(_side(tokens, "W", name), _side(tokens, "H", name), tokens)
    if header.chroma not in _CHROMA and not _DEEP.fullmatch(header.chroma):
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
