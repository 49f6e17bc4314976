"""What surrounds the pictures of a video: every frame's time, colour tags, rotation, and the other streams.

A file -> `Timeline`, read from what ffmpeg says while it decodes (`showinfo`): the bundled ffmpeg brings no ffprobe.
"""

from __future__ import annotations

import re
import shlex
from argparse import ArgumentTypeError
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from youku.video import ffmpeg
from youku.video.y4m import CHROMA, Header

LOOSE_CLOCKS = ("mpegts", "mpeg")  # broadcast formats, whose clock starts anywhere: their files begin at 0 here
_FRAME = re.compile(r" n: *\d+ pts: *(-?\d+|NOPTS) .*duration: *(\d+) .* fmt:(\S+) (?:cl:(\S+) )?.* i:(\w)")
_COLOURS = re.compile(r"color_range:(\S+) color_space:(\S+) color_primaries:(\S+) color_trc:(\S+)")
_STREAM = re.compile(r"  Stream #0:(\d+)(?:\[\w+\])?(?:\(\w+\))?: (Video|Audio|Subtitle|Data|Attachment): (\S+)")
_RGB = re.compile(r"rgb|bgr|gbr|pal|0rgb|0bgr|argb|abgr|x2rgb")


@dataclass(frozen=True)
class Stream:
    """One stream of a file: its index, kind (Video, Audio, Subtitle, Data, Attachment) and codec as ffmpeg names them."""

    index: int
    kind: str
    codec: str


class Shown(NamedTuple):
    """What showinfo says of one frame: time in the stream's units (None if it has none), duration, format, siting, field."""

    time: int | None
    duration: int
    pix_fmt: str
    siting: str | None
    field: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """When each frame is shown and how it is tagged; the defaults are those of a bare clip at a constant rate."""

    source: str | None = None
    """File whose other streams are copied."""
    tick: Fraction
    """Seconds a tick, numerator 1."""
    times: tuple[int, ...] | None = None
    """Presentation time of each frame in ticks, increasing; None for a constant rate from 0."""
    last_ticks: int = 0
    """Duration of the last frame."""
    origin: int = 0
    """Tick of the source that becomes time 0."""
    is_part: bool = False
    """A range of frames: the other streams are cut to it."""
    length_sec: float | None = None
    """Seconds of the range where there are no times to tell; None for no end."""
    siting: str | None = None
    """Where 4:2:0 chroma lies, as a Header names it, if the file says so."""
    rotation_deg: str = "0"
    """As ffmpeg prints the display matrix and takes it back."""
    colours: dict[str, str] = field(default_factory=dict)
    """range, colorspace, color_primaries and color_trc, where they are known, as ffmpeg's setparams names them."""

    def end_sec(self) -> float | None:
        """End of the last frame, or of the range, in seconds after the origin, if it is known."""
        if self.times is None:
            return self.length_sec
        return float((self.times[-1] + self.last_ticks - self.origin) * self.tick)


def of_clip(
    header: Header,
    source: str | Path | None = None,
    colours: dict[str, str] | None = None,
    start_sec: float | None = None,
    length_sec: float | None = None,
) -> Timeline:
    """The Timeline of a y4m clip or of pictures at the header's rate, and the range of `source` to copy beside them."""
    per_sec = header.fps.numerator
    return Timeline(
        source=str(source) if source else None,
        tick=Fraction(1, per_sec),
        origin=round(Fraction(start_sec or 0) * per_sec),
        is_part=bool(start_sec) or length_sec is not None,
        length_sec=length_sec,
        colours={**({"range": "pc"} if "XCOLORRANGE=FULL" in header.tokens else {}), **(colours or {})},
    )


def sited(header: Header, timeline: Timeline) -> Header:
    """The header with the chroma siting that the video itself states: a y4m pipe calls full-range video 420jpeg."""
    names = {siting: name for name, ((_, sub_y, siting), depth) in CHROMA.items() if sub_y == 2 and depth == 8}
    if header.depth > 8 or header.layout[:2] != (2, 2) or timeline.siting not in names:
        return header
    name = names[timeline.siting]  # 420mpeg2, 420jpeg or 420paldv
    changed = {"C": f"C{name}", "XYSCSS=": f"XYSCSS={name.upper()}"}
    tokens = (next((new for old, new in changed.items() if token.startswith(old)), token) for token in header.tokens)
    return replace(header, tokens=tuple(tokens))


def scan(path: str | Path, frames: range | None = None) -> Timeline:
    """Read every frame's time, and the tags, by decoding once, to the last of `frames` (without gaps) if given.

    ValueError for interlaced frames, missing times, times that do not increase, and a file that is no video.
    """
    if not Path(path).is_file():
        raise ffmpeg.FFmpegError(f"{path}: no such video file")
    line = [ffmpeg.binary(), "-hide_banner", "-nostdin", "-nostats", "-loglevel", "level+info", "-copyts"]
    line += ["-noautorotate", "-i", str(Path(path).absolute()), "-map", "0:v:0", "-vf", "showinfo=checksum=0"]
    line += [*ffmpeg.passthrough_flags(), *(["-frames:v", str(frames[-1] + 1)] if frames else []), "-f", "null", "-"]
    head: list[str] = []
    shown: list[Shown] = []
    colours: dict[str, str] = {}
    for text in ffmpeg.messages(line, str(path)):
        if match := _FRAME.search(text):
            time, duration, *tags = match.groups()
            shown.append(Shown(None if time == "NOPTS" else int(time), int(duration), *tags))
        elif not colours and (match := _COLOURS.search(text)):
            colours = dict(zip(("range", "colorspace", "color_primaries", "color_trc"), match.groups(), strict=True))
        elif len(shown) < 2:
            head.append(text)
    if not shown:
        raise ffmpeg.NoVideoError(f"{path}: ffmpeg finds no picture in it; check the file, or name another")
    if frames and len(shown) <= frames[-1]:
        raise ValueError(f"{path}: ended before frame {frames[-1]}, which was asked for")
    return _timeline(
        str(path), "\n".join(head), shown[frames[0] : frames[-1] + 1] if frames else shown, colours, frames
    )


def _timeline(path: str, head: str, shown: list[Shown], colours: dict[str, str], frames: range | None) -> Timeline:
    if any(frame.field in "TB" for frame in shown):
        raise interlaced(path, "OUT.mkv")
    unit = re.search(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)", head)
    assert unit, head
    per_unit, per_sec, fps_num, fps_den = map(int, unit.groups())
    times = tuple(time * per_unit for time in _times(path, shown))
    last_ticks = shown[-1].duration * per_unit or (times[-1] - times[-2] if len(times) > 1 else 0)
    rotation = re.search(r"displaymatrix: rotation of (-?[\d.]+)", head)
    known = {name: value for name, value in colours.items() if value not in ("unknown", "unspecified")}
    if _RGB.match(shown[0].pix_fmt):
        known = {"range": "tv", "colorspace": "smpte170m"}  # what ffmpeg's scaler makes of RGB pictures
    return Timeline(
        source=path,
        tick=Fraction(1, per_sec),
        times=times,
        last_ticks=last_ticks or max(1, round(Fraction(per_sec * fps_den, fps_num or per_sec))),
        origin=times[0] if frames else min(_clock_start(head, per_sec), times[0]),
        is_part=frames is not None,
        siting=shown[0].siting,
        rotation_deg=rotation[1] if rotation else "0",
        colours=known,
    )


def _clock_start(head: str, per_sec: int) -> int:
    """Tick at which a broadcast file's clock starts; 0 for the others."""
    start = re.search(r"Duration: .*start: (-?[\d.]+)", head)
    name = re.search(r"Input #0, (\w+)", head)
    return round(Fraction(start[1]) * per_sec) if start and name and name[1] in LOOSE_CLOCKS else 0


def _times(path: str, shown: list[Shown]) -> list[int]:
    """The frames' times; ValueError where one is missing or not after the last."""
    times: list[int] = []
    for index, frame in enumerate(shown):
        if frame.time is None or (times and frame.time <= times[-1]):
            raise ValueError(
                f"{path}: frame {index} has {'no time' if frame.time is None else 'a time before the last one'}; give it a "
                f"constant rate first: ffmpeg -i {shlex.quote(path)} -map 0 -c copy -c:v ffv1 -r 25 OUT.mkv"
            )
        times.append(frame.time)
    return times


def list_streams(path: str | Path) -> tuple[Stream, ...]:
    """The streams of a file; ValueError when ffmpeg cannot read it."""
    if not Path(path).is_file():
        raise ffmpeg.FFmpegError(f"{path}: no such video or audio file")
    said = ffmpeg.tell("-nostdin", "-i", str(Path(path).absolute()))
    found = [match for line in said.splitlines() if (match := _STREAM.search(line))]
    if not found:
        raise ffmpeg.NoVideoError(f"{path}: is not a video or audio file that ffmpeg reads; check it, or name another")
    return tuple(Stream(int(match[1]), match[2], match[3].rstrip(",")) for match in found)


def interlaced(source: str, target: str) -> ValueError:
    """The error for a video that no network can enlarge as it is: it names the command that deinterlaces."""
    coding = "-pix_fmt yuv420p" if target.endswith(".y4m") else "-map 0 -c copy -c:v ffv1"
    return ValueError(
        f"{source}: is interlaced; deinterlace it first: "
        f"ffmpeg -i {shlex.quote(source)} -vf bwdif=send_frame {coding} {target}"
    )


def parse_sec(text: str) -> float:
    """Seconds of SS, MM:SS or HH:MM:SS, each with a fraction if need be; argparse's own error otherwise."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise ArgumentTypeError(f"expected a time such as 90, 1:30 or 0:01:30.5, got {text!r}")
    return sum(float(part) * 60**power for power, part in enumerate(reversed(text.split(":"))))
