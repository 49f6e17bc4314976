"""The header line of a y4m clip: every token kept in order, those that are understood held to what can be written.

A line of bytes <-> Header, which says size, layout, depth, rate and shape of a pixel. Source: the yuv4mpeg(5) manual
page of mjpegtools, and the chroma names that ffmpeg's yuv4mpegenc writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

Layout = tuple[int, int, str]  # (sub_x, sub_y, siting): chroma is W / sub_x by H / sub_y; (0, 0, ...) means no chroma
MAGIC = b"YUV4MPEG2"
MAX_LINE_BYTES = 4096  # longer header or FRAME lines are damage, not tokens
MAX_SIDE_PX = 32768
MAX_NUMBER = 2**31 - 1  # of F and A: what FFmpeg's ratios and the clocks of containers hold
MOST_OBLONG = 4  # a pixel, either way: 4:1 is CinemaScope on a narrow tape, beyond is damage
MAX_FRAME_PX = 1 << 28  # what FFmpeg, and so every coder here, takes for a picture: av_image_check_size

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

    def is_like(self, other: Header) -> bool:
        """Whether planes of one can be compared with those of the other."""
        return (self.plane_shapes, self.depth) == (other.plane_shapes, other.depth)

    @property
    def size(self) -> str:
        """For a sentence: 480x270."""
        return f"{self.width}x{self.height}"

    @property
    def form(self) -> str:
        """The same with the chroma: 480x270 C420mpeg2."""
        return f"{self.size} C{self.chroma}"

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes of the planes of one frame, without its FRAME line."""
        return sum(height * width for height, width in self.plane_shapes) * self.dtype.itemsize

    @cached_property
    def fps(self) -> Fraction:
        """Frames a second; 25 where the header does not say (F absent or 0:0)."""
        return self._ratio("F") or Fraction(25)

    @cached_property
    def aspect(self) -> Fraction | None:
        """Width of a pixel over its height; None where the header does not say (A absent or 0:0)."""
        return self._ratio("A")

    def _ratio(self, letter: str) -> Fraction | None:
        numbers = next((token[1:].split(":") for token in self.tokens if token.startswith(letter)), ["0", "0"])
        over, under = map(int, numbers)
        return Fraction(over, under) if over and under else None

    @property
    def is_interlaced(self) -> bool:
        """True when the I token says top, bottom or mixed fields."""
        return any(token in ("It", "Ib", "Im") for token in self.tokens)

    @property
    def is_full_range(self) -> bool:
        """True where codes run from 0 to the highest, rather than from 16 to 235."""
        return "XCOLORRANGE=FULL" in self.tokens

    def require_depth(self, planes: tuple[np.ndarray, ...], name: str, index: int | str) -> tuple[np.ndarray, ...]:
        """The planes of frame `index`, a number or a time; Y4MError where a sample is more than the depth can hold.

        Clipped, 10 bit in the high bits of 16, which some tools write under that name, would be a white picture.
        """
        most = (1 << self.depth) - 1
        if 8 < self.depth < 16 and (found := max(int(plane.max()) for plane in planes)) > most:
            raise Y4MError(
                f"{name}: frame {index} holds a sample of {found}, expected at most {most} ({self.depth} bit); "
                "its header says the wrong depth, or it is damaged: make it again"
            )
        return planes

    def at_rate(self, fps: Fraction) -> Header:
        """The same header with another F."""
        return replace(self, tokens=self._tokens_but(F=f"{fps.numerator}:{fps.denominator}"))

    def resized(self, width: int, height: int) -> Header:
        """The same header with another W and H and every other token as it was."""
        return replace(self, width=width, height=height, tokens=self._tokens_but(W=width, H=height))

    def _tokens_but(self, **values: object) -> tuple[str, ...]:
        """The tokens, some with other values, each in its place."""
        return tuple(f"{token[0]}{values[token[0]]}" if token[:1] in values else token for token in self.tokens)

    def encode(self) -> bytes:
        return b" ".join([MAGIC, *(token.encode("latin-1") for token in self.tokens)]) + b"\n"


def in_square_pixels(size: tuple[int, int], *aspects: Fraction | None) -> tuple[int, int]:
    """(width, height) in square pixels, none fewer either way; the shape of a pixel is the first of `aspects` that is told."""
    aspect = next((one for one in aspects if one and 1 / MOST_OBLONG <= one <= MOST_OBLONG), 1)
    return round(size[0] * max(1, aspect)), round(size[1] / min(1, aspect))


def make_header(width: int, height: int, fps: Fraction | int = 25, chroma: str = "420mpeg2") -> Header:
    """A header shaped like the contest's: W H F Ip A0:0 C XYSCSS."""
    rate = Fraction(fps)
    line = f"W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A0:0 C{chroma}"
    line += f" XYSCSS={chroma.upper()}" if chroma.startswith("420") else ""
    return parse_header(MAGIC + f" {line}\n".encode(), "new header")


def parse_header(line: bytes, name: str) -> Header:
    """Parse a header line, newline included; `name` is the file named in errors.

    Every token that is understood is held to what writers, clocks and coders can hold, and is there once.
    """
    if not line.startswith(MAGIC + b" "):
        raise Y4MError(f"{name}: expected a y4m file (first bytes YUV4MPEG2), got {line[:16]!r}; convert it first")
    if not line.endswith(b"\n"):
        raise Y4MError(f"{name}: header is cut or longer than {MAX_LINE_BYTES} bytes; fetch or make the file again")
    tokens = tuple(line[len(MAGIC) + 1 : -1].decode("latin-1").split(" "))
    for start in ("C", "I", "XYSCSS=", "XCOLORRANGE="):
        _only(tokens, start, name)
    for letter, what in (("F", "a rate such as F25:1"), ("A", "the shape of a pixel such as A1:1")):
        _check_ratio(_only(tokens, letter, name), what, name)
    if (field := _only(tokens, "I", name)) and field not in ("I?", "Ip", "It", "Ib", "Im"):
        raise Y4MError(f"{name}: expected an I token of Ip, It, Ib, Im or I?, got {field!a}; make the file again")
    header = Header(_side(tokens, "W", name), _side(tokens, "H", name), tokens)
    if header.width * header.height > MAX_FRAME_PX:
        raise Y4MError(
            f"{name}: expected at most {MAX_FRAME_PX} pixels a frame, got W{header.width} H{header.height}; "
            "no coder takes such a picture, make the file again in parts"
        )
    if header.chroma not in CHROMA:
        raise Y4MError(
            f"{name}: chroma C{ascii(header.chroma)[1:-1]} is not supported; expected 4:2:0, 4:2:2, 4:4:4 or mono, 8 to 16 bit "
            "(convert with: ffmpeg -i IN -pix_fmt yuv420p OUT.y4m)"
        )
    return header


def _only(tokens: tuple[str, ...], start: str, name: str) -> str | None:
    """The one token that starts so, None for none; two of them would leave open which of them holds."""
    found = [token for token in tokens if token.startswith(start)]
    if len(found) > 1:
        raise Y4MError(f"{name}: expected at most one {start} token, got {_shown(found)}; make the file again")
    return found[0] if found else None


def _check_ratio(token: str | None, what: str, name: str) -> None:
    """Two whole numbers of MAX_NUMBER or less, none of them 0 alone: 0:0 is how y4m says unknown."""
    numbers = re.fullmatch(r"[FA]0*(\d{1,10}):0*(\d{1,10})", token or "F0:0")
    over, under = map(int, numbers.groups()) if numbers else (0, 1)
    if max(over, under) > MAX_NUMBER or bool(over) != bool(under):
        expected = f"{what}, numbers up to {MAX_NUMBER}, or 0:0 for unknown"
        raise Y4MError(f"{name}: expected {expected}, got {_shown([token])}; make the file again")


def _side(tokens: tuple[str, ...], letter: str, name: str) -> int:
    found = [token for token in tokens if token.startswith(letter)]
    if len(found) != 1 or not re.fullmatch(r".[0-9]{1,9}", found[0]) or not 0 < int(found[0][1:]) <= MAX_SIDE_PX:
        raise Y4MError(
            f"{name}: expected one {letter} token with a whole number 1-{MAX_SIDE_PX}, got {_shown(found) or 'none'}"
        )
    return int(found[0][1:])


def _shown(tokens: Sequence[str | None]) -> str:
    """Tokens for a sentence: short, and in characters that a terminal takes."""
    return " ".join(ascii(token)[1:-1] for token in tokens)[:60]
