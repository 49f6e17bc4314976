"""Write a video file around new frames: times, tags, aspect and turn kept, other streams copied as they are.

Frames -> .mp4, .mkv, .mov or .webm, with the times and tags of the `Recording` that they were made from, and audio,
subtitles, attachments, chapters and metadata of a file. A variable rate stays one: MP4 and MOV keep the source's clock
to the tick, MKV and WebM count milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av

from youku import files
from youku.video import avframe, encoding, ffmpeg, recording
from youku.video.avframe import Tags
from youku.video.encoding import Coder, Encoding
from youku.video.file_names import WRITABLE_VIDEOS
from youku.video.recording import Recording
from youku.video.segments import Kept
from youku.video.y4m import Header, Planes

Packets = Iterator[tuple[Fraction, Any]]  # seconds from the start of the new file, packet
PROGRESSIVE = 1  # AV_FIELD_PROGRESSIVE: what a network makes, whatever it was made from


@dataclass(frozen=True, kw_only=True)
class Along:
    """Streams of a file that are copied beside the pictures."""

    source: str
    streams: Iterable[int]
    start_sec: float | None = None
    """Time of the source that becomes 0, where the pictures are not of the same file."""
    length_sec: float | None = None
    """How much of it; None for as long as the pictures, if they are a range of frames, or else all."""


def carried(
    source: str | Path, target: str | Path, audio: bool = True, subtitles: bool = True, advice: str = ""
) -> dict[int, str]:
    """The streams that go along into `target`, by index, and what they are: {1: "audio (aac)"}.

    ValueError names the first that its container cannot hold; `advice` ends that sentence, in place of the flag of
    `predict` that leaves the stream out.
    """
    suffix, chosen = Path(target).suffix.lower(), {}
    kinds = ["audio"] * audio + ["subtitle"] * subtitles + ["attachment"] * (suffix == ".mkv")
    with recording.open_container(source) as container:
        for stream in (stream for stream in container.streams if stream.type in kinds):
            codec = stream.codec_context.name if stream.codec_context else stream.metadata.get("mimetype", "unknown")
            if stream.type != "attachment" and not recording.holds(suffix, stream):
                others = [other for other in WRITABLE_VIDEOS if recording.holds(other, stream)]
                flag = "--no-audio" if stream.type == "audio" else "--no-subtitles"
                raise ValueError(
                    f"{target}: {suffix} cannot hold stream {stream.index} of {source} ({stream.type}, {codec}); "
                    f"{f'name OUT{others[0]}, or ' if others else ''}{advice or f'leave it out with {flag}'}"
                )
            chosen[stream.index] = f"{stream.type} ({codec})"
    return chosen


class Writer:
    """Frames in order into an encoder, each with its own time; packets of other streams are copied in between."""

    def __init__(
        self,
        container: Any,
        video: Any,
        header: Header,
        source: Recording | None,
        frames: range | None,
        copy: Callable[[Fraction], Packets] | None,
    ) -> None:
        self.header, self.num_frames = header, 0
        self._container, self._video, self._source, self._frames, self._copy = container, video, source, frames, copy
        self._tick = video.codec_context.time_base
        self._origin, self._last, self.end = 0, -1, 0  # ticks: of the source, and of what is written
        self._others: Packets = iter(())
        self._waiting: tuple[Fraction, Any] | None = None
        self._shown: list[tuple[Fraction, Any]] = []  # subtitles of a range, until they or it are over

    def write(self, planes: Planes) -> None:
        """Write one frame, whose planes are as the header says."""
        assert tuple(plane.shape for plane in planes) == self.header.plane_shapes, self.header
        frame = avframe.to_frame(planes, self.header)
        frame.time_base = self._tick
        frame.pts, frame.duration = self._begin_frame()
        self._mux(self._video.encode(frame))

    @property
    def num_kept(self) -> int:
        """Frames that an earlier run coded, to be written by `write_kept` before all others."""
        return self._video.num_kept if isinstance(self._video, Coder) else 0

    def write_kept(self) -> None:
        """Write the next frame as it was coded, once its source has been read."""
        self._begin_frame()
        self._mux(self._video.skip())

    def _begin_frame(self) -> tuple[int, int]:
        """Time and duration of the next frame in ticks; ValueError where the source has no usable one."""
        duration = round(1 / (self.header.fps * self._tick))
        time = self.num_frames * duration
        if self._source is not None:
            index = self.num_frames + (self._frames[0] if self._frames else 0)
            time, duration = self._source.times[index], self._source.durations[index]
            if self.num_frames == 0:
                self._origin = time if self._frames else min(self._source.start, time)
            time -= self._origin
            if time <= self._last:
                raise ValueError(
                    f"{self._source.path}: frame {index} has a time before the last one; give it a constant rate first: "
                    f"{ffmpeg.binary()} -i {ffmpeg.quoted(self._source.path)} -map 0:v -c:v ffv1 -r 25 OUT.mkv"
                )
        if self.num_frames == 0 and self._copy:  # from here on the origin is known
            self._others = self._copy(self._origin * self._tick)
            self._waiting = next(self._others, None)
        self._last, self.end, self.num_frames = time, time + duration, self.num_frames + 1
        return time, duration

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the other streams, or of the range."""
        packets = list(self._video.encode(None))
        if self.num_frames < 3:  # in order, and x265 leaves the decoding times of so few unset
            for packet in packets:
                packet.dts = packet.pts
        self._mux(packets)
        self._copy_until(None if self._frames is None else self.end * self._tick)
        for over_sec, packet in self._shown:
            packet.duration -= max(0, round((over_sec - self.end * self._tick) / packet.time_base))
            self._container.mux(packet)

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            self._copy_until(packet.dts * packet.time_base)
            self._container.mux(packet)

    def _copy_until(self, end_sec: Fraction | None) -> None:
        while self._waiting is not None and (end_sec is None or self._waiting[0] < end_sec):
            time, packet = self._waiting
            is_held = self._frames is not None and packet.stream.type == "subtitle"
            over_sec = time + packet.duration * packet.time_base
            self._shown.append((over_sec, packet)) if is_held else self._container.mux(packet)
            self._waiting = next(self._others, None)
        while self._shown and end_sec is not None and self._shown[0][0] <= end_sec:
            self._container.mux(self._shown.pop(0)[1])


@contextmanager
def create(
    target: str | Path,
    header: Header,
    coding: Encoding,
    source: Recording | None = None,
    frames: range | None = None,
    along: Along | None = None,
    tags: Tags | None = None,
    kept: Kept | None = None,
) -> Iterator[Writer]:
    """Write a video that appears under its name only when whole.

    `source` is what the pictures were made from, `frames` the range of it (None: all): times and tags are its own.
    Without it the rate is the header's. With `kept` it is coded in segments that outlive the process.
    """
    encoding.check(header, target, coding)
    tags = tags or (source.tags if source else Tags(range=avframe.FULL if header.is_full_range else 0))
    with files.atomic_path(target) as temporary, ExitStack() as stack:
        tick = source.tick if source else Fraction(1, header.fps.numerator)
        again = encoding.second_pass(header, target, coding)
        options = {"video_track_timescale": str(tick.denominator), "movflags": "+faststart"}
        options["avoid_negative_ts"] = "disabled"
        container = av.open(str(temporary.absolute()), "w", "matroska" if again else None, container_options=options)
        stack.callback(_close, container)  # before the file is removed, which its writing of an end would miss
        try:
            coding = Encoding(codec="ffv1") if "-c:v" in again else coding
            video = coder = _add_video(container, header, coding, tags, tick)
            if kept:
                coder = stack.enter_context(
                    Coder(video, kept, lambda scratch: _add_video(scratch, header, coding, tags, tick))
                )
            copy = None
            if along:
                given = stack.enter_context(recording.open_container(along.source))
                targets = _add_others(container, given, along.streams, frames is None)
                copy = partial(_copies, given, targets, along, frames is not None)
            writer = Writer(container, coder, header, source, frames, copy)
            yield writer
            if writer.num_frames == 0:
                raise ValueError(f"{target}: nothing to write, the source gave 0 frames")
            writer.finish()
            container.close()
            if again:
                encoding.copy_again(temporary, again, str(target))
        except av.error.FFmpegError as error:
            told = f"writing failed: {error}"
            if "avcodec_open2" in str(error):
                size = f"{header.form} at {float(header.fps):.6g} a second"
                size += ", or finds no memory or threads" * isinstance(error, av.error.ExternalError)
                told = f"{coding.codec} takes no pictures of {size} ({error.strerror}); name another --codec"
            raise ffmpeg.FFmpegError(f"{target}: {told}") from None


def write_clip(
    target: str | Path,
    header: Header,
    frames: Iterable[Planes],
    coding: Encoding,
    audio: str | Path | None = None,
    tags: Tags | None = None,
    start_sec: float | None = None,
    length_sec: float | None = None,
) -> int:
    """Write frames at the header's rate with a range of the audio of a file; returns how many frames."""
    along = None
    if audio:
        if not (streams := carried(audio, target, subtitles=False, advice="leave --audio out")):
            raise ValueError(f"{audio}: has no audio; name a file that has, or leave --audio out")
        along = Along(source=str(audio), streams=streams, start_sec=start_sec, length_sec=length_sec)
    with create(target, header, coding, along=along, tags=tags) as writer:
        for planes in frames:
            writer.write(planes)
    return writer.num_frames


def _close(container: Any) -> None:
    with suppress(av.error.FFmpegError, OSError, ValueError):
        container.close()


def _add_video(container: Any, header: Header, coding: Encoding, tags: Tags, tick: Fraction) -> Any:
    """The stream of pictures, with everything that its encoder and container shall say of them."""
    options = coding.options(header, tags)
    if header.layout[:2] == (2, 2):
        options["chroma_sample_location"] = header.layout[2]
    video = container.add_stream(
        coding.encoder, header.fps, options, width=header.width, height=header.height, time_base=tick
    )
    context = video.codec_context
    context.pix_fmt, context.field_order = ffmpeg.pix_fmt(header.chroma), PROGRESSIVE
    context.thread_type = "AUTO"  # PyAV's own choice, slices, costs x264 quality
    video.disposition = av.stream.Disposition.default
    # a range that nobody says is what every conversion here takes it for
    context.color_range, context.colorspace = tags.range or avframe.STUDIO, tags.matrix
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if header.aspect:
        context.sample_aspect_ratio = header.aspect
    if coding.codec == "x265" and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # what Apple's players want
    if tags.turn:
        video.set_display_matrix(tags.turn)
    return video


def _add_others(container: Any, given: Any, streams: Iterable[int], is_all: bool) -> dict[int, Any]:
    """A copy of each stream that goes along, by its index in the source; metadata and chapters too."""
    short = container.format.name in ("mp4", "mov")
    targets = {}
    for index in streams:
        template = given.streams[index]
        targets[index] = copy = container.add_stream_from_template(template)
        copy.metadata.update(encoding.kept_metadata(template.metadata, short))
        copy.disposition = template.disposition
    container.metadata.update(encoding.kept_metadata(given.metadata, short))
    if (video := recording.first_video(given)) is not None:
        container.streams.video[0].metadata.update(encoding.kept_metadata(video.metadata, short))
    if is_all:
        container.set_chapters(given.chapters())
    return targets


def _copies(given: Any, targets: dict[int, Any], along: Along, is_part: bool, origin_sec: Fraction) -> Packets:
    """Packets of the source in its order, at their new times; where it is cut, of those before 0 the subtitles still shown."""
    origin_sec = origin_sec if along.start_sec is None else Fraction(along.start_sec)
    is_part |= along.start_sec is not None or along.length_sec is not None
    for packet in given.demux([given.streams[index] for index in targets]) if targets else ():
        stamps = (packet.pts, packet.dts)
        time = next((stamp for stamp in stamps if stamp is not None), 0) * packet.time_base - origin_sec
        if along.length_sec is not None and time >= along.length_sec:
            return
        left = packet.duration + round(time / packet.time_base) if packet.stream.type == "subtitle" else 0
        if is_part and time < 0 < left:  # shown at the cut
            begin = packet.pts + packet.duration - left
            time, stamps, packet.duration = Fraction(), (begin, begin), left
        if packet.size and (time >= 0 or not is_part):
            shift = round(origin_sec / packet.time_base)
            packet.pts, packet.dts = (None if stamp is None else stamp - shift for stamp in stamps)
            packet.stream = targets[packet.stream.index]
            yield time, packet
