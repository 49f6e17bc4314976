"""Open any video file: its pictures as planes, the time of each, its tags, its streams, and what is damaged in it.

A file -> `Recording`, to be read once, in display order. By PyAV, FFmpeg's libraries in this process, on one thread: a
network that enlarges the frames wants the other cores, and what a decoder says is then about the frame at hand.
"""

from __future__ import annotations

import itertools
import logging
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.video.frame import VideoFrame

from youku.video import avframe, ffmpeg
from youku.video.avframe import Turn
from youku.video.y4m import Planes

DEINTERLACE = {"frame": ("bwdif", "mode=send_frame"), "field": ("bwdif", "mode=send_field")}
LOOSE_CLOCKS = ("mpegts", "mpeg")  # broadcast formats, whose clock starts anywhere: their files begin at 0 here
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stream:
    """One stream of a file: its index, kind (video, audio, subtitle, data, attachment) and codec."""

    index: int
    kind: str
    codec: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a file is to be read."""

    chroma: str | None = None
    """y4m layout wanted, without a siting; None for the nearest to the file's own."""
    filters: tuple[tuple[str, str], ...] = ()
    """FFmpeg's filters, each a name and its options."""
    upright: bool = True
    """Turn the pictures as their tag says, rather than keep the tag."""
    start_sec: float | None = None
    duration_sec: float | None = None
    """A range begins at the first frame at or after its start."""
    only_whole: bool = False
    """Damage is an error rather than a warning."""
    only_progressive: bool = False
    """Interlaced pictures are an error."""
    trusted: bool = False
    """Playlists and scripts that lead to other files are opened too."""


@dataclass
class Damage:
    """What went wrong while a file was decoded: the first fault, and how many."""

    first: str = ""
    count: int = 0

    def add(self, words: str, num_frames: int) -> None:
        """One more fault, met after `num_frames` frames."""
        self.first = self.first or f"{words} at frame {num_frames}"
        self.count += 1


class Recording:
    """An open video; iterating gives its planes once, and `times`, `durations` and `damage` grow with them."""

    def __init__(self, path: str, container: Any, video: Any, reading: Reading) -> None:
        self.path, self.reading, self.damage = path, reading, Damage()
        self.times: list[int | None] = []  # of each frame, in ticks; None where it has none
        self.durations: list[int] = []
        self.num_frames: int | None = video.frames or None  # as the container says, where it does
        start = Fraction(container.start_time or 0, 10**6)
        rate = video.guessed_rate or video.average_rate or Fraction(25)
        frames = _decode(path, container, video, rate, self.damage, reading)
        if reading.start_sec and video.start_time is not None:
            container.seek(int((start + Fraction(reading.start_sec)) / video.time_base), stream=video)
        frames = _filtered(_in_range(frames, start, reading.start_sec, reading.duration_sec), reading.filters)
        first = next(frames, None)
        if first is None:
            raise ffmpeg.NoVideoError(f"{path}: no picture in it ({self.damage.first or 'it is empty'}); check the file")
        self._frames = itertools.chain([first], frames)
        self.tick = Fraction(1, first.time_base.denominator)  # seconds
        self.start = round(start / self.tick) if container.format.name in LOOSE_CLOCKS else 0  # tick of its clock's 0
        self._turn = avframe.turn_of(avframe.matrix_of(first)) if reading.upright else Turn()
        siting, field = _ask_showinfo(first)
        self.tags = avframe.read_tags(first, siting, reading.upright)
        chroma = reading.chroma or avframe.nearest_chroma(first.format, self._turn.is_transposed)
        if not reading.chroma and (lost := avframe.what_is_lost(first.format, chroma)):
            _log.warning("%s: %s", path, lost)
        aspect = video.sample_aspect_ratio
        self.header = avframe.make_header(first, chroma, rate, aspect, self.tags, self._turn, field)

    def __iter__(self) -> Iterator[Planes]:
        for frame in self._frames:
            if self.reading.only_progressive and frame.interlaced_frame:
                raise interlaced(self.path)
            per_unit = frame.time_base.numerator
            self.times.append(None if frame.pts is None else frame.pts * per_unit)
            self.durations.append(frame.duration * per_unit)
            yield avframe.to_planes(frame, self.header, self._turn)

    @property
    def is_variable(self) -> bool:
        """True when the frames read so far do not follow each other at one rate, within the clock's own rounding."""
        times = [time for time in self.times if time is not None]
        steps = [after - before for before, after in itertools.pairwise(times)]
        return bool(steps) and max(steps) - min(steps) > 2


@contextmanager
def open_recording(path: str | Path, reading: Reading = Reading()) -> Iterator[Recording]:  # noqa: B008 (frozen)
    """A video for reading; NoVideoError with the decoder's own words where it is none."""
    with open_container(path, reading.trusted) as container:
        video = first_video(container)
        if video is None:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise ffmpeg.NoVideoError(f"{path}: has no pictures that can be decoded, but {kinds}; name another file")
        yield Recording(str(path), container, video, reading)


@contextmanager
def open_container(path: str | Path, trusted: bool = False) -> Iterator[Any]:
    """PyAV's container of a file that holds its own data."""
    if not Path(path).is_file():
        raise ffmpeg.FFmpegError(f"{path}: no such video or audio file")
    with open(path, "rb", buffering=0) as file:
        container = _open(path, file, trusted)
        container.flags &= ~av.container.Flags.gen_pts.value  # times that are made up would look like the file's own
        try:
            yield container
        finally:
            container.close()


def _open(path: str | Path, file: Any, trusted: bool) -> Any:
    # read from an open file, nothing is looked up by name; the white list keeps a playlist from opening what it names
    source, options = (f"file:{Path(path).absolute()}", {}) if trusted else (file, {"protocol_whitelist": "none"})
    said: list[str] = []
    try:
        with _listen() as said:
            return av.open(source, "r", options=options, metadata_errors="replace", buffer_size=1 << 18)
    except (av.error.FFmpegError, OSError) as error:
        if any("not on whitelist" in words for words in said):
            told = "leads to other files or addresses; only a file that holds its own data is opened"
        else:
            words = said[-1] if said else getattr(error, "strerror", None) or str(error)
            told = f"is neither a y4m clip nor a video that ffmpeg reads ({words}); check the file, or name another"
        raise ffmpeg.NoVideoError(f"{path}: {told}") from None


def first_video(container: Any) -> Any:
    """The first stream of pictures that can be decoded, a cover picture only where there is nothing else."""
    found = [stream for stream in container.streams.video if stream.codec_context is not None]
    return next(iter(sorted(found, key=lambda stream: bool(stream.disposition & av.stream.Disposition.attached_pic))), None)


def list_streams(path: str | Path) -> tuple[Stream, ...]:
    """The streams of a file."""
    with open_container(path) as container:
        contexts = [(stream, stream.codec_context) for stream in container.streams]
        return tuple(Stream(stream.index, stream.type, context.name if context else "none") for stream, context in contexts)


def codecs_in(suffix: str) -> set[str]:
    """Names of the codecs that a container holds, named by its suffix; nothing is written."""
    return av.open(f"any{suffix}", "w").supported_codecs


def interlaced(path: str) -> ValueError:
    """The error for pictures that no network can enlarge as they are: it names a command that runs as printed."""
    with open_container(path) as container:
        picture = first_video(container).index
    held = codecs_in(".mkv")
    kept = [s.index for s in list_streams(path) if s.kind in ("audio", "subtitle") and s.codec in held]
    mapped = " ".join(f"-map 0:{index}" for index in [picture, *kept])
    command = f"{shlex.quote(ffmpeg.binary())} -i {shlex.quote(path)} -vf bwdif=send_frame {mapped} -c copy -c:v ffv1 OUT.mkv"
    return ValueError(f"{path}: is interlaced; deinterlace it first: {command}")


def _decode(
    path: str, container: Any, video: Any, rate: Fraction, damage: Damage, reading: Reading
) -> Iterator[VideoFrame]:
    """Every frame that decodes, with its best time; faults are counted, told of at the end, and raised if refused."""
    video.thread_count, video.thread_type = 1, "NONE"
    num_frames = num_packets = 0
    clock = _Clock(rate)
    for packet, frames, faults in _decode_packets(container.demux(video)):
        for frame in frames:
            clock.set_time(frame)
            faults += ["a picture is corrupt"] * frame.is_corrupt
            num_frames += 1
            yield frame
        num_packets += bool(packet is not None and packet.size)
        if packet is None and not damage.count and not reading.start_sec and container.format.name != "avi":
            # an index that promises more; avi counts frames that are not there, which only last longer
            faults += [f"{num_packets} of {video.frames} packets are there"] * (num_packets < video.frames)
        if faults:
            damage.add(faults[0], num_frames)
        if damage.count and (packet is None or reading.only_whole):
            told = f"{path}: damaged: {damage.first}; {num_frames}{f' of {video.frames}' if video.frames else ''} frames"
            if reading.only_whole:
                raise ffmpeg.FFmpegError(f"{told} read; fetch or make the file again")
            _log.warning("%s decoded, %d faults", told, damage.count)


def _decode_packets(packets: Iterator[Any]) -> Iterator[tuple[Any, list[VideoFrame], list[str]]]:
    """Each packet, its frames, and what was said of it at level error; None for the packet after the last."""
    packet: Any = ...
    while packet is not None:
        frames: list[VideoFrame] = []
        with _listen() as said:
            try:
                packet = next(packets, None)
                frames = packet.decode() if packet is not None else []
            except EOFError:
                pass
            except av.error.FFmpegError as error:
                said.append(error.strerror or str(error))
        yield packet, frames, said + ["a packet is corrupt"] * bool(packet is not None and packet.is_corrupt)


class _Clock:
    """Gives each frame the better of its two times, as FFmpeg's best_effort_timestamp; a constant rate where both lack."""

    def __init__(self, rate: Fraction) -> None:
        self._rate, self._num_frames, self._has_times = rate, 0, True
        self._last, self._faults = [-(1 << 63)] * 2, [0, 0]  # presentation, decoding

    def set_time(self, frame: VideoFrame) -> None:
        """Change `frame.pts`."""
        stamps = (frame.pts, frame.dts)
        for index, stamp in enumerate(stamps):
            if stamp is not None:
                self._faults[index] += stamp <= self._last[index]
                self._last[index] = stamp
        if stamps == (None, None) and self._num_frames == 0:
            self._has_times = False
        if not self._has_times:
            frame.time_base, frame.duration = Fraction(1, self._rate.numerator), self._rate.denominator
            frame.pts = self._num_frames * self._rate.denominator
        elif frame.dts is not None and (frame.pts is None or self._faults[0] > self._faults[1]):
            frame.pts = frame.dts
        self._num_frames += 1


def _in_range(
    frames: Iterator[VideoFrame], start: Fraction, start_sec: float | None, duration_sec: float | None
) -> Iterator[VideoFrame]:
    begin = start + Fraction(start_sec or 0).limit_denominator(10**6)
    end = None if duration_sec is None else begin + Fraction(duration_sec).limit_denominator(10**6)
    for frame in frames:
        time = None if frame.pts is None else frame.pts * frame.time_base
        if end is not None and time is not None and time >= end:
            return
        if not start_sec or (time is not None and time >= begin):
            yield frame


def _filtered(frames: Iterator[VideoFrame], filters: tuple[tuple[str, str], ...]) -> Iterator[VideoFrame]:
    """What FFmpeg's filters make of the frames."""
    first = next(frames, None)
    if first is None or not filters:
        yield from [] if first is None else itertools.chain([first], frames)
        return
    graph = _graph(first, filters)
    for frame in itertools.chain([first], frames, [None]):
        graph.push(frame)
        try:
            while True:
                yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            continue


def _graph(frame: VideoFrame, filters: tuple[tuple[str, str], ...]) -> av.filter.Graph:
    graph = av.filter.Graph()
    graph.threads = 1
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    nodes = [graph.add(name, options) for name, options in filters]
    graph.link_nodes(source, *nodes, graph.add("buffersink")).configure()
    return graph


def _ask_showinfo(frame: VideoFrame) -> tuple[str | None, str]:
    """Chroma siting (None: not said) and field order (p, t, b) of a frame: what PyAV has no attribute for."""
    # without the side data, which showinfo prints byte by byte
    graph = _graph(frame, (("sidedata", "mode=delete"), ("showinfo", "checksum=0")))
    with _listen(av.logging.INFO) as said:
        graph.push(frame)
        graph.pull()
    found = re.search(r" fmt:\S+ (?:cl:(\S+) )?.* i:(\w)", " ".join(said))
    siting = found[1] if found and found[1] not in ("unspecified", "unknown") else None
    return siting, found[2].lower() if found else "p"


@contextmanager
def _listen(level: int = av.logging.ERROR) -> Iterator[list[str]]:
    """What FFmpeg says in this thread, at `level` or worse; the list is filled when the block ends."""
    said: list[str] = []
    av.logging.set_level(level)
    av.logging.set_skip_repeated(False)
    with av.logging.Capture() as logs:
        try:
            yield said
        finally:
            av.logging.set_level(None)
            said += [words.strip() for _, _, words in logs if words.strip()]
