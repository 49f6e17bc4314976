"""Send frames through a lossy video codec and back: x264, x265, svtav1, mpeg1, mpeg2, mpeg4, mjpeg.

8-bit 4:2:0 frames -> the same number of frames with the same shapes, damaged as the codec damages them. Encoder and
decoder are two ffmpeg processes joined by pipes; coders run on one thread so that the result repeats bit for bit.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import IO

import numpy as np

from youku.cli import option
from youku.text_table import plural
from youku.video import ffmpeg, y4m
from youku.video.y4m import Header, Planes

_X265 = {"preset": "medium", "x265-params": "pools=none:frame-threads=1:log-level=error"}
# name -> (ffmpeg encoder, options that keep it repeatable and quiet, shortest and longest side in pixels)
_ENCODERS: dict[str, tuple[str, dict[str, str], int, int]] = {
    "x264": ("libx264", {"preset": "medium"}, 2, 16384),
    "x265": ("libx265", _X265, 64, 8192),  # none below 16; in those 33 to 48 wide it may write beyond its memory
    "svtav1": ("libsvtav1", {"preset": "8", "svtav1-params": "lp=1"}, 64, 16384),
    "mpeg1": ("mpeg1video", {"g": "15", "bf": "2", "strict": "-2"}, 2, 4095),  # -2: rates outside the standard's list
    "mpeg2": ("mpeg2video", {"g": "15", "bf": "2", "strict": "-2"}, 2, 16383),
    "mpeg4": ("mpeg4", {"g": "250", "bf": "2"}, 2, 8191),
    "mjpeg": ("mjpeg", {}, 2, 65500),  # intra only: what JPEG compression does to each picture
}
ENCODER = "encoder"
BITRATES = range(1000, 2 * 10**9 + 1)
CODECS = tuple(_ENCODERS)
RATES = ("crf", "qscale", "bitrate")
MOST_CRF = {"x264": 51, "x265": 51, "svtav1": 63}


@dataclass(frozen=True, kw_only=True)
class Coding:
    """One pass through a codec at a quality or a bitrate."""

    codec: str
    """One of CODECS."""
    crf: int | None = option(None, "quality of x264, x265: 0-51, of svtav1: 0-63; larger is worse", type=int)
    qscale: int | None = option(None, "quantiser of mpeg1, mpeg2, mpeg4, mjpeg: 1-31, larger is worse", type=int)
    bitrate: str | None = option(None, "bits a second, such as 768k")

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ValueError(f"codec {self.codec!r}: expected one of {', '.join(CODECS)}")
        if sum(vars(self)[rate] is not None for rate in RATES) != 1:
            raise ValueError(f"codec {self.codec}: give exactly one of crf, qscale and bitrate")
        if self.crf is not None and not 0 <= self.crf <= MOST_CRF.get(self.codec, -1):
            known = ", ".join(f"0-{most} with {codec}" for codec, most in MOST_CRF.items())
            raise ValueError(f"crf {self.crf} with {self.codec}: expected {known}")
        if self.qscale is not None and (self.codec in MOST_CRF or not 1 <= self.qscale <= 31):
            raise ValueError(f"qscale {self.qscale} with {self.codec}: expected 1-31 with mpeg1, mpeg2, mpeg4 or mjpeg")
        if self.bitrate is not None and _bits(self.bitrate) not in BITRATES:
            raise ValueError(f"bitrate {self.bitrate!r}: expected a number with k or M, 1k to 2000M, such as 768k")


def _bits(bitrate: str) -> int:
    """Bits a second; 0 for what is no bitrate."""
    match = re.fullmatch(r"([1-9]\d{0,9})([kM]?)", bitrate)
    return int(match[1]) * {"": 1, "k": 1000, "M": 10**6}[match[2]] if match else 0


def round_trip(frames: Iterable[Planes], header: Header, coding: Coding) -> Iterator[Planes]:
    """Encode and decode frames in order, odd sizes padded and cut back; raises when a frame is lost or reshaped."""
    if header.depth != 8 or header.layout[:2] != (2, 2):
        raise ValueError(
            f"codec {coding.codec}: expected 8-bit 4:2:0 frames, got C{header.chroma}; convert the clip first"
        )
    if not ffmpeg.has_encoder(encoder := _ENCODERS[coding.codec][0]):
        raise ValueError(
            f"codec {coding.codec}: {ffmpeg.binary()} has no {encoder}; take another codec or IMAGEIO_FFMPEG_EXE"
        )
    wire, most_px = _wire_header(header, coding), _ENCODERS[coding.codec][3]
    if max(wire.width, wire.height) > most_px:
        told = f"codes sides up to {most_px} pixels, the pictures are {header.size}"
        raise ValueError(f"codec {coding.codec}: {told}; cut them with --size, or choose another codec")
    num_fed = num_back = 0

    def feed(stdin: IO[bytes]) -> None:
        nonlocal num_fed
        writer = y4m.Writer(stdin, wire)
        for planes in frames:
            writer.write(tuple(map(_pad, planes, wire.plane_shapes)))
            num_fed += 1
        if num_fed == 0:
            raise ValueError(f"codec {coding.codec}: the source gave 0 frames")

    with _refusals(wire, coding), ffmpeg.piped_output(_encode_command(coding), ENCODER, feed) as coded:
        pass_on = partial(shutil.copyfileobj, coded)
        output = {"format": "yuv4mpegpipe", "strict": "-1", **ffmpeg.passthrough()}
        line = ffmpeg.build("pipe:0", "pipe:1", {"format": "nut", "threads": "1"}, output)
        with ffmpeg.piped_output(line, f"{coding.codec} decoder", pass_on) as decoded:
            reader = y4m.StreamReader(decoded, f"{coding.codec} round trip")
            if not reader.header.is_like(wire):
                raise ffmpeg.FFmpegError(f"{coding.codec}: gave back {reader.header.tokens} for {wire.tokens}")
            for planes in reader:
                num_back += 1
                yield tuple(
                    plane[:height, :width] for plane, (height, width) in zip(planes, header.plane_shapes, strict=True)
                )
    if num_back != num_fed:
        raise ffmpeg.FFmpegError(f"{coding.codec}: {plural(num_fed, 'frame')} went in, {num_back} came back")


@contextmanager
def _refusals(wire: Header, coding: Coding) -> Iterator[None]:
    """What the encoder says before it gives anything becomes a sentence that names what it was asked for."""
    try:
        yield
    except ffmpeg.FFmpegError as error:
        if not str(error).startswith(ENCODER):
            raise
        rate = next(f"{name} {value}" for name in RATES if (value := vars(coding)[name]) is not None)
        raise ffmpeg.FFmpegError(
            f"codec {coding.codec}: takes no pictures of {wire.size} at {float(wire.fps):.6g} a second "
            f"with {rate} ({str(error).removeprefix(f'{ENCODER}: ')}); choose another codec or {rate.split()[0]}"
        ) from None


def _wire_header(header: Header, coding: Coding) -> Header:
    """Even size (H.264 and H.265 refuse odd 4:2:0), the clip's rate, and for mjpeg the range it codes as it stands."""
    least_px = _ENCODERS[coding.codec][2]
    width, height = (max(side + side % 2, least_px) for side in (header.width, header.height))
    wire = y4m.make_header(width, height, header.fps, "420jpeg")
    if coding.codec != "mjpeg":
        return wire
    return Header(wire.width, wire.height, (*wire.tokens, "XCOLORRANGE=FULL"))  # else ffmpeg would rescale the range


def _pad(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.pad(plane, [(0, want - have) for want, have in zip(shape, plane.shape, strict=True)], mode="edge")


def _encode_command(coding: Coding) -> list[str]:
    encoder, options, *_ = _ENCODERS[coding.codec]
    given = {"crf": coding.crf, "q:v": coding.qscale, "b:v": coding.bitrate}
    quality = {name: str(value) for name, value in given.items() if value is not None}
    output = {"format": "nut", "c:v": encoder, "threads": "1", **options, **quality, **ffmpeg.passthrough()}
    return ffmpeg.build("pipe:0", "pipe:1", {"format": "yuv4mpegpipe"}, output)
