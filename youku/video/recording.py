"""Open any video file: its pictures as planes, the time of each, its tags, and what is damaged in it.

A file -> `Recording`, to be read once, in display order. By PyAV, FFmpeg's libraries in this process, on one thread: a
network wants the other cores, and what a decoder says is then about the frame at hand. It does not tell all: HEVC, VP9 and
AV1 read altered bytes as other pictures, WMV half of them, and raw streams that end between pictures have no count.
"""

from __future__ import annotations

import logging
import shlex
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from io import BytesIO
from itertools import chain, pairwise
from pathlib import Path
from threading import Lock
from typing import Any

import av

from youku import files
from youku.video import avframe, damage, ffmpeg
from youku.video.avframe import PASSED_OVER, filtered, listen, look_at
from youku.video.ffmpeg import DEINTERLACE, Filter
from youku.video.y4m import Planes

LOOSE_CLOCKS = ("mpegts", "mpeg")  # broadcast formats, whose clock starts anywhere: their files begin at 0 here
_log = logging.getLogger(__name__)


class Recording:
    """An open video; iterating gives its planes once, and `times`, `durations` and `faults` grow with them.

    `chroma` is the y4m layout wanted, without a siting (None: the nearest to the file's own). `upright` turns pictures
    as their tag says. A range begins at the first frame at or after its start. `whole` makes damage an error rather
    than a warning, `progressive` interlaced pictures. `most_frames` come where MP4 or MOV has a whole index (no fragments).
    """

    def __init__(
        self,
        path: str | Path,
        container: Any,
        missing: Iterable[str] = (),
        *,
        chroma: str | None = None,
        filters: tuple[Filter, ...] = (),
        upright: bool = True,
        start_sec: float | None = None,
        duration_sec: float | None = None,
        whole: bool = False,
        progressive: bool = False,
    ) -> None:
        self.path, self._container, self._video = str(path), container, first_video(container)
        if self._video is None:
            kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise ffmpeg.NoVideoError(f"{path}: has no pictures that can be decoded, but {kinds}; name another file")
        self.times, self.durations = list[int](), list[int]()  # of each frame, in ticks
        self.faults = list(missing)  # what was damaged
        self._whole, self._progressive = whole, progressive
        self._lock, self._is_closed = Lock(), False  # frames may be read in another thread than the file is closed in
        is_cover = _is_cover(self._video)  # one picture, at its clock's tick
        self._rate = (not is_cover and (self._video.guessed_rate or self._video.average_rate)) or Fraction(25)
        frames = self._within(start_sec, duration_sec)
        self._frames = filtered(frames, filters) if filters else frames
        with damage.worded(path, "pictures that FFmpeg's filters take"):
            first = next(self._frames, None)
        if first is None and start_sec and not self.faults:
            raise ValueError(f"{path}: has no frame at --start {start_sec:g} s; it is shorter than that")
        if first is None:
            raise ffmpeg.NoVideoError(
                f"{path}: no picture of it can be decoded ({(*self.faults, 'it is empty')[0]}); check the file"
            )
        self._frames = chain([first], self._frames)
        kind = container.format.name
        is_still = is_cover or kind.endswith(("_pipe", "image2"))
        self.num_frames = self._video.frames or (1 if is_still else None)  # if it tells
        likely = self._likely(start_sec or 0, duration_sec)
        self.tick = Fraction(1, first.time_base.denominator)  # seconds
        begin = Fraction(container.start_time or 0, 10**6) if kind in LOOSE_CLOCKS else 0
        self.start = round(begin / self.tick)  # tick of its clock's 0
        data, siting, field = look_at(first)
        tags = avframe.read_tags(first, data, siting)
        self._turn = avframe.turn_of(tags.turn if upright else ())
        self.tags = replace(tags, turn=()) if upright else tags
        name, self.codec = chroma or avframe.nearest_chroma(first.format, self._turn[0]), self._video.codec_context.name
        about = self.codec, self._video.metadata.get("alpha_mode", "0")
        if lost := avframe.what_is_lost(first, name, *about, is_asked=chroma is not None):
            _log.warning("%s: %s", path, lost)
        if not name.startswith("mono") and (misread := self.tags.misread):
            _log.warning("%s: %s", path, misread)
        num_each, num_indexed = 2 if DEINTERLACE["field"] in filters else 1, len(self._video.index_entries)
        self.likely_frames = likely * num_each or None
        self.most_frames = num_indexed * num_each if "mp4" in kind and num_indexed == self.num_frames else None
        rate, aspect = self._rate * num_each, self._video.sample_aspect_ratio
        self.header = avframe.make_header(first, name, rate, aspect, self.tags, self._turn, field)

    def _likely(self, start_sec: float, duration_sec: float | None) -> int:
        """As many frames as the container has of a range, by its length where it does not count them."""
        container = self._container
        begin = container.start_time if "matroska" in container.format.name else 0  # which says when it ends
        length = Fraction(max(0, (container.duration or 0) - (begin or 0)), 10**6)
        left = max(0, (self.num_frames or round(length * self._rate)) - round(start_sec * self._rate))
        return left if duration_sec is None else min(left, round(duration_sec * self._rate))

    def __iter__(self) -> Iterator[Planes]:
        is_told = self.header.is_interlaced
        for frame in self._frames:
            if self._progressive and frame.interlaced_frame:
                raise interlaced(self.path, number=len(self.times))
            if frame.interlaced_frame and not is_told:
                is_told = True
                _log.warning("%s: is interlaced from frame %d on, and not before", self.path, len(self.times))
            if self._whole and self.faults:
                break
            self.times.append(frame.pts * frame.time_base.numerator)
            self.durations.append(frame.duration * frame.time_base.numerator)
            yield avframe.to_planes(frame, self.header, self._turn)
        if self.faults:
            told = f"{self.path}: damaged: {self.faults[0]}; {len(self.times)} of {self.num_frames or 'its'} frames decoded"
            if self._whole:
                raise ffmpeg.FFmpegError(f"{told}; fetch or make the file again")
            _log.warning("%s, faults: %d", told, len(self.faults))

    @property
    def is_variable(self) -> bool:
        """True when the frames read so far do not follow each other at one rate, within the clock's own rounding."""
        steps = [after - before for before, after in pairwise(self.times)]
        return bool(steps) and max(steps) - min(steps) > 2

    def _within(self, start_sec: float | None, duration_sec: float | None) -> Iterator[Any]:
        """The frames from a time on, reached by a jump where the file has times, and before another."""
        begin = Fraction(start_sec or 0).limit_denominator(10**6) + Fraction(self._container.start_time or 0, 10**6)
        end = None if duration_sec is None else begin + Fraction(duration_sec).limit_denominator(10**6)
        if start_sec and self._video.start_time is not None:
            self._container.seek(int(begin / self._video.time_base), stream=self._video)
        for frame in self._decode(is_all=not start_sec):
            time = frame.pts * frame.time_base
            if end is not None and time >= end:
                return
            if not start_sec or time >= begin:
                yield frame

    def _decode(self, is_all: bool) -> Iterator[Any]:
        """Every frame that decodes, each with a time and a duration; what goes wrong is added to `faults`."""
        video, num_packets, num_frames, following, form = self._video, 0, 0, 0, ""
        video.thread_count, video.thread_type = 1, "NONE"
        for packet, frames, said in self._decode_packets():
            for frame in frames:
                stamps = (frame.pts, frame.dts, following)  # as the ffmpeg program: or else the end of the last frame
                frame.pts = next(stamp for stamp in stamps if stamp is not None)
                frame.duration = frame.duration or max(1, round(1 / (self._rate * frame.time_base)))
                following = frame.pts + frame.duration
                place = num_frames if is_all else f"at {float(frame.pts * frame.time_base):.2f} s"  # after a jump
                avframe.require_depth(frame, self.path, place)
                before, form = form, f"{frame.width}x{frame.height} {frame.format.name}"
                said += [f"its pictures change from {before} to {form}"] * (before not in ("", form))
                said += ["a picture is corrupt"] * frame.is_corrupt
                num_frames += 1
                yield frame
            num_packets += bool(packet is not None and packet.size)
            self.faults += [f"{words} at frame {num_frames}" for words in said[:1]]
        if not is_all or self._is_closed or self.faults:  # what a stop left unread is no fault of the file
            return
        cut, kind = f"{num_packets} of {video.frames} packets are there", self._container.format.name
        if kind == "avi" or num_packets >= video.frames:  # avi's index counts those too by which a frame lasts longer
            cut = damage.ends_early(self.path, kind)
        self.faults += [f"{cut}, it ends at frame {num_frames}"] * bool(cut)

    def _decode_packets(self) -> Iterator[tuple[Any, list[Any], list[str]]]:
        """Each packet, its frames, and what was said of it at level error; None after the last, with what was held back."""
        packets, packet, is_last = self._container.demux(self._video), None, False
        while not is_last:
            frames, failed = list[Any](), list[str]()
            with self._lock, listen() as said:
                if self._is_closed:
                    return
                try:
                    packet = next(packets, None)
                    is_last = packet is None
                    is_repeat = packet is not None and not packet.size and packet.dts is not None
                    frames = packet.decode() if packet is not None and not is_repeat else []
                except EOFError:
                    pass
                except av.error.FFmpegError as error:
                    failed.append(error.strerror or str(error))
            failed += ["a packet is corrupt"] * bool(packet is not None and packet.is_corrupt)
            yield packet, frames, said + failed

    def close(self) -> None:
        """No frame is decoded from here on, by whatever thread; FFmpeg's memory may go."""
        with self._lock:
            self._is_closed = True


@contextmanager
def open_recording(path: str | Path, **how: Any) -> Iterator[Recording]:
    """A video for reading, `how` as for Recording; NoVideoError with the decoder's own words where it is none."""
    missing: list[str] = []
    with (
        open_container(path, "is neither a y4m clip nor a video", missing) as container,
        closing(Recording(path, container, missing, **how)) as recording,
    ):
        yield recording


@contextmanager
def open_container(
    path: str | Path, refusal: str = "is not a video or audio file", missing: list[str] | None = None
) -> Iterator[Any]:
    """PyAV's container of a file that holds its own data; `refusal` says what anything else is, `missing` what is not there.

    Playlists that lead to other files are opened only where `files.allow_playlists` was said, and to local ones alone.
    """
    if not Path(path).is_file():
        raise ffmpeg.FFmpegError(f"{path}: no such file or folder; check the path")
    trusted = files.playlists_allowed()
    with open(path, "rb", buffering=0) as file:
        # read from an open file, nothing is looked up by name; the white list keeps a playlist from what it names
        source = f"file:{Path(path).absolute()}" if trusted else file
        options = {"protocol_whitelist": "file,crypto,data", "safe": "0"} if trusted else {"protocol_whitelist": "none"}
        said: list[str] = []
        try:
            with listen() as said:
                container: Any = av.open(source, "r", options=options, metadata_errors="replace", buffer_size=1 << 18)
        except (av.error.FFmpegError, OSError) as error:
            raise ffmpeg.NoVideoError(f"{path}: {damage.why_unopened(path, refusal, said, error, trusted)}") from None
        if missing is not None:
            missing += filter(PASSED_OVER.search, said)
        container.flags &= ~av.container.Flags.gen_pts.value  # times that are made up would look like the file's own
        with container:
            yield container


def first_video(container: Any) -> Any:
    """The first stream of pictures that can be decoded, a cover only where there is nothing else; None for none."""
    found = [stream for stream in container.streams.video if stream.codec_context is not None]
    return min(found, key=_is_cover, default=None)


def _is_cover(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def holds(suffix: str, stream: Any) -> bool:
    """Whether a container takes a copy of a stream: its head is tried, as FFmpeg's tables name more than it writes."""
    name = {".mkv": "matroska"}.get(suffix, suffix[1:])
    with suppress(av.error.FFmpegError, ValueError), listen(), av.open(BytesIO(), "w", name) as container:
        container.add_stream_from_template(stream)
        container.start_encoding()
        return True
    return False


def interlaced(path: str, is_clip: bool = False, number: int = 0) -> ffmpeg.InterlacedError:
    """The error for pictures, from that number on, that no network can enlarge as they are: its command runs as printed."""
    end = "-strict -1 OUT.y4m"
    if not is_clip:
        with open_container(path) as container:
            beside = [stream for stream in container.streams if stream.type in ("audio", "subtitle")]
            kept = [first_video(container), *(stream for stream in beside if holds(".mkv", stream))]
            end = " ".join(f"-map 0:{stream.index}" for stream in kept) + " -c copy -c:v ffv1 OUT.mkv"
    command = f"{shlex.quote(ffmpeg.binary())} -i {ffmpeg.quoted(path)} -vf bwdif=send_frame {end}"
    since = f" from frame {number} on" if number else ""
    told = f"is interlaced{since}; `predict` takes it with --deinterlace; or deinterlace it first"
    return ffmpeg.InterlacedError(f"{path}: {told}: {command}")
