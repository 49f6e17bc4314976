"""Write a video file around new frames: times, colour tags, aspect and rotation kept, the other streams copied.

Frames and a `Timeline` -> .mp4, .mkv, .mov or .webm with the source's audio, subtitles, chapters and metadata as they are.
Frames reach ffmpeg raw and with their own times, which a y4m pipe cannot say, as a Matroska stream: a variable frame rate
stays one. MP4 and MOV keep the source's clock to the tick; MKV and WebM count milliseconds.
Source: RFC 8794 (EBML) and RFC 9559 (Matroska), codec V_UNCOMPRESSED; four-letter codes of libavcodec/raw.c.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from youku import files
from youku.video import ffmpeg
from youku.video.timeline import Stream, Timeline, list_streams
from youku.video.y4m import Header, Planes

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm")
# codec -> ffmpeg's encoder, its options, default and largest crf, depths, containers
_ENCODERS: dict[str, tuple[str, dict[str, str], int, int, tuple[int, ...], tuple[str, ...]]] = {
    "x264": ("libx264", {"preset": "medium"}, 18, 51, (8, 10), (".mp4", ".mkv", ".mov")),
    "x265": ("libx265", {"x265-params": "log-level=error"}, 20, 51, (8, 10, 12), (".mp4", ".mkv", ".mov")),
    "vp9": ("libvpx-vp9", {"b:v": "0", "row-mt": "1"}, 24, 63, (8, 10, 12), (".mp4", ".mkv", ".webm")),
    "ffv1": ("ffv1", {"level": "3", "slicecrc": "1"}, 0, 0, (8, 9, 10, 12, 14, 16), (".mkv",)),
}
CODECS = tuple(_ENCODERS)
_UNKNOWN_SIZE = bytes([0x01] + [0xFF] * 7)
# (sub_x, sub_y) -> four letters of raw 8-bit planes; above 8 bit it is "Y", number of planes and layout, depth
_EIGHT_BIT = {(2, 2): b"I420", (2, 1): b"Y42B", (1, 1): b"444P", (0, 0): b"Y800"}
_DEEP = {(2, 2): b"3\x0b", (2, 1): b"3\x0a", (1, 1): b"3\x00", (0, 0): b"1\x00"}


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How the pictures are coded."""

    codec: str = "x264"
    """One of CODECS; ffv1 is lossless."""
    crf: int | None = None
    """Constant rate factor, larger is worse; None for the codec's default."""

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise ValueError(f"--codec {self.codec}: expected one of {', '.join(CODECS)}")
        most = _ENCODERS[self.codec][3]
        if self.crf is not None and not most:
            raise ValueError(f"--crf {self.crf}: {self.codec} is lossless and has no crf; leave --crf out")
        if self.crf is not None and not 0 <= self.crf <= most:
            raise ValueError(f"--crf {self.crf}: expected 0 to {most} for {self.codec}")

    def options(self) -> list[str]:
        """ffmpeg's options for this encoder."""
        encoder, options, crf, most, _, _ = _ENCODERS[self.codec]
        chosen = options | ({"crf": str(crf if self.crf is None else self.crf)} if most else {})
        return ["-c:v", encoder, *(part for name, value in chosen.items() for part in (f"-{name}", value))]


def is_video(path: str | Path) -> bool:
    """True for a name that ends like a container that can be written here."""
    return Path(path).suffix.lower() in SUFFIXES


def default_encoding(path: str | Path, codec: str | None, crf: int | None) -> Encoding:
    """What the user chose, with x264 where the name does not want vp9 (.webm)."""
    return Encoding(codec=codec or ("vp9" if Path(path).suffix.lower() == ".webm" else "x264"), crf=crf)


def carried(
    source: str | Path, target: str | Path, audio: bool = True, subtitles: bool = True, advice: str = ""
) -> tuple[Stream, ...]:
    """The streams that go along into `target`; ValueError naming the first that its container cannot hold.

    `advice` ends that sentence, in place of the flag of `predict` that leaves the stream out.
    """
    suffix = Path(target).suffix.lower()
    kinds = ["Audio"] * audio + ["Subtitle"] * subtitles + ["Attachment"] * (suffix == ".mkv")
    chosen = tuple(stream for stream in list_streams(source) if stream.kind in kinds)
    for stream in chosen:
        if stream.kind != "Attachment" and not _holds(source, stream, suffix):
            others = [other for other in SUFFIXES if other != suffix and _holds(source, stream, other)]
            flag = "--no-audio" if stream.kind == "Audio" else "--no-subtitles"
            raise ValueError(
                f"{target}: {suffix} cannot hold stream {stream.index} of {source} ({stream.kind.lower()}, "
                f"{stream.codec}); {f'name OUT{others[0]}, or ' if others else ''}{advice or f'leave it out with {flag}'}"
            )
    return chosen


def _holds(path: str | Path, stream: Stream, suffix: str) -> bool:
    """Whether a container takes a stream as it is: ffmpeg is asked by doing it for an instant."""
    with tempfile.TemporaryDirectory() as folder:
        line = [ffmpeg.binary(), "-v", "error", "-nostdin", "-i", str(Path(path).absolute())]
        line += ["-map", f"0:{stream.index}", "-c", "copy", "-t", "0.05", f"{folder}/try{suffix}"]
        try:
            ffmpeg.run(line, str(path))
        except ffmpeg.FFmpegError:
            return False
    return True


def check(header: Header, target: str | Path, encoding: Encoding) -> None:
    """ValueError where codec, container and the planes of `header` do not go together."""
    suffix, codec = Path(target).suffix.lower(), encoding.codec
    _, _, _, _, depths, suffixes = _ENCODERS[codec]
    if suffix not in suffixes:
        fitting = ", ".join(name for name in CODECS if suffix in _ENCODERS[name][5])
        raise ValueError(f"{target}: {suffix} cannot hold {codec}; use --codec {fitting}, or OUT{suffixes[0]}")
    if header.depth not in depths or (codec == "vp9" and header.layout[0] == 0):
        raise ValueError(f"{target}: {codec} cannot hold C{header.chroma}; use --codec ffv1 and name OUT.mkv")
    sub_x, sub_y, _ = header.layout
    odd = (sub_x == 2 and header.width % 2) or (sub_y == 2 and header.height % 2)
    if odd and codec in ("x264", "x265"):
        raise ValueError(
            f"{target}: {codec} wants even sides, the pictures are {header.width}x{header.height}; use --codec ffv1 or vp9"
        )


class Writer:
    """Frames in order into ffmpeg, each with its own time."""

    def __init__(self, file: IO[bytes], header: Header, timeline: Timeline) -> None:
        self._file, self.header, self._timeline, self.num_frames = file, header, timeline, 0
        _write_head(file, header)

    def write(self, planes: Planes) -> None:
        """Write one frame, whose planes are as the header says."""
        assert tuple(plane.shape for plane in planes) == self.header.plane_shapes, self.header
        start, end = self._time_ns(self.num_frames), self._time_ns(self.num_frames + 1)
        _write_frame(self._file, planes, start, end - start)
        self.num_frames += 1

    def _time_ns(self, index: int) -> int:
        times = self._timeline.times
        if times is None:
            return round(index / self.header.fps * 10**9)
        if index > len(times):
            raise ValueError(f"{self._timeline.source}: gave more frames than when its times were read; run again")
        time = times[index] if index < len(times) else times[-1] + self._timeline.last_ticks
        return round((time - self._timeline.origin) * self._timeline.tick * 10**9)


@contextmanager
def create(
    target: str | Path, header: Header, timeline: Timeline, encoding: Encoding, streams: tuple[Stream, ...] = ()
) -> Iterator[Writer]:
    """Write a video that appears under its name only when whole; `streams` of the timeline's source go along."""
    check(header, target, encoding)
    with files.atomic_path(target) as temporary:
        line = _command(temporary, header, timeline, encoding, streams)
        with ffmpeg.piped_input(line, str(target)) as stdin:
            writer = Writer(stdin, header, timeline)
            yield writer
            if writer.num_frames == 0:
                raise ValueError(f"{target}: nothing to write, the source gave 0 frames")
            if timeline.times is not None and writer.num_frames != len(timeline.times):
                raise ValueError(f"{timeline.source}: gave {writer.num_frames} frames, expected {len(timeline.times)}")


def write_clip(
    target: str | Path, header: Header, frames: Iterable[Planes], timeline: Timeline, encoding: Encoding
) -> int:
    """Write frames at the header's rate with the audio of the timeline's source; returns how many."""
    check(header, target, encoding)
    streams = carried(timeline.source, target, subtitles=False, advice="leave --audio out") if timeline.source else ()
    if timeline.source and not streams:
        raise ValueError(f"{timeline.source}: has no audio; name a file that has, or leave --audio out")
    with create(target, header, timeline, encoding, streams) as writer:
        for planes in frames:
            writer.write(planes)
    return writer.num_frames


def _command(
    target: Path, header: Header, timeline: Timeline, encoding: Encoding, streams: tuple[Stream, ...]
) -> list[str]:
    suffix = target.suffix.lower()
    line = [ffmpeg.binary(), "-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-copyts", "-noautorotate"]
    line += ["-display_rotation", timeline.rotation_deg] if float(timeline.rotation_deg) else []
    line += ["-f", "matroska", "-i", "pipe:0"]
    if timeline.source:
        line += ["-itsoffset", f"{float(-timeline.origin * timeline.tick):.6f}"]
        line += ["-i", str(Path(timeline.source).absolute())]
        line += ["-map_metadata", "1", "-map_chapters", "-1" if timeline.is_part else "1"]
    line += ["-map", "0:v:0", *(part for stream in streams for part in ("-map", f"1:{stream.index}")), "-c", "copy"]
    line += [*encoding.options(), "-pix_fmt", ffmpeg.pix_fmt(header.chroma), *ffmpeg.passthrough_flags()]
    line += [
        "-enc_time_base:v",
        f"{timeline.tick.numerator}:{timeline.tick.denominator}",
        "-vf",
        _tags(header, timeline),
    ]
    if "range" in timeline.colours:  # ffmpeg's ffv1 would squeeze full range into 16-235 unless told
        line += ["-color_range", timeline.colours["range"]]
    line += ["-max_muxing_queue_size", "4096", "-avoid_negative_ts", "disabled"]
    if timeline.is_part:
        line += _cut(timeline, streams)
    if suffix in (".mp4", ".mov"):
        line += ["-video_track_timescale", str(timeline.tick.denominator), "-movflags", "+faststart"]
        line += ["-tag:v", "hvc1"] if encoding.codec == "x265" else []
    return [*line, str(target.absolute())]


def _tags(header: Header, timeline: Timeline) -> str:
    """Filters that change no sample: they write aspect, colour and siting on the frames, and so into the file."""
    aspect = next((re.fullmatch(r"A([1-9]\d*):([1-9]\d*)", token) for token in header.tokens if token[0] == "A"), None)
    tags = dict(timeline.colours)
    if header.layout[:2] == (2, 2):
        tags["chroma_location"] = header.layout[2]
    filters = [f"setsar={aspect[1]}/{aspect[2]}"] if aspect else []
    filters += ["setparams=" + ":".join(f"{name}={value}" for name, value in tags.items())] if tags else []
    return ",".join(filters) or "null"


def _cut(timeline: Timeline, streams: tuple[Stream, ...]) -> list[str]:
    """Drop the packets of copied streams that begin outside the range of frames."""
    end_sec = timeline.end_sec()
    after = "" if end_sec is None else f"+gte(pts*tb\\,{end_sec:.6f})"
    drop = f"noise=drop='lt(pts*tb\\,0){after}'"
    kinds = {"Audio": "a", "Subtitle": "s"}
    used = sorted({kinds[stream.kind] for stream in streams if stream.kind in kinds})
    return [part for kind in used for part in (f"-bsf:{kind}", drop)]


def _four_letters(header: Header) -> bytes:
    """The code that tells ffmpeg the pixel format of a clip's planes."""
    layout = header.layout[:2]
    return _EIGHT_BIT[layout] if header.depth == 8 else b"Y" + _DEEP[layout] + bytes([header.depth])


def _write_head(file: IO[bytes], header: Header) -> None:
    """A Matroska stream up to its first frame; one tick is a nanosecond."""
    head = _uint(0x4286, 1) + _uint(0x42F7, 1) + _uint(0x42F2, 4) + _uint(0x42F3, 8)
    head += _element(0x4282, b"matroska") + _uint(0x4287, 4) + _uint(0x4285, 2)
    info = _uint(0x2AD7B1, 1) + _element(0x4D80, b"youku") + _element(0x5741, b"youku")
    picture = _uint(0xB0, header.width) + _uint(0xBA, header.height) + _element(0x2EB524, _four_letters(header))
    track = _uint(0xD7, 1) + _uint(0x73C5, 1) + _uint(0x83, 1) + _uint(0x9C, 0)
    track += _element(0x22B59C, b"und") + _element(0x86, b"V_UNCOMPRESSED")
    track += _uint(0x23E383, round(10**9 / header.fps)) + _element(0xE0, picture)
    file.write(_element(0x1A45DFA3, head) + _id(0x18538067) + _UNKNOWN_SIZE)
    file.write(_element(0x1549A966, info) + _element(0x1654AE6B, _element(0xAE, track)))


def _write_frame(file: IO[bytes], planes: Planes, time_ns: int, duration_ns: int) -> None:
    """One frame as a cluster of its own, so that its time is exact however far from the last one."""
    assert time_ns >= 0 and duration_ns > 0, (time_ns, duration_ns)
    data = [np.ascontiguousarray(plane) for plane in planes]
    block = bytes([0x81, 0, 0, 0])  # track 1, 0 ns after its cluster, no flags
    block_head = _id(0xA1) + _size(len(block) + sum(plane.nbytes for plane in data)) + block
    tail = _uint(0x9B, duration_ns)
    group_bytes = len(block_head) + sum(plane.nbytes for plane in data) + len(tail)
    group_head = _id(0xA0) + _size(group_bytes)
    time = _uint(0xE7, time_ns)
    file.write(_id(0x1F43B675) + _size(len(time) + len(group_head) + group_bytes) + time + group_head + block_head)
    for plane in data:
        file.write(plane.data)
    file.write(tail)


def _element(number: int, data: bytes) -> bytes:
    return _id(number) + _size(len(data)) + data


def _uint(number: int, value: int) -> bytes:
    return _element(number, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def _id(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _size(value: int) -> bytes:
    """A length in eight bytes, the first of them the marker."""
    return (value | 1 << 56).to_bytes(8, "big")
