"""Write a video file around new frames: times, tags, aspect and turn kept, the other streams copied as they are.

Frames -> .mp4, .mkv, .mov or .webm, with the times and tags of the `Recording` that they were made from, and audio,
subtitles, attachments, chapters and metadata of a file. A variable rate stays one: MP4 and MOV keep the source's clock
to the tick, MKV and WebM count milliseconds.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from youku import files
from youku.video import avframe, ffmpeg, recording
from youku.video.avframe import Tags
from youku.video.recording import Recording, Stream
from youku.video.y4m import Header, Planes

SUFFIXES = (".mp4", ".mkv", ".mov", ".webm")
# codec -> ffmpeg's encoder, its options, default and largest crf, depths, containers
_ENCODERS: dict[str, tuple[str, dict[str, str], int, int, tuple[int, ...], tuple[str, ...]]] = {
    "x264": ("libx264", {"preset": "medium"}, 18, 51, (8, 10), (".mp4", ".mkv", ".mov")),
    "x265": ("libx265", {"x265-params": "log-level=error"}, 20, 51, (8, 10, 12), (".mp4", ".mkv", ".mov")),
    "vp9": ("libvpx-vp9", {"b": "0", "row-mt": "1"}, 24, 63, (8, 10, 12), (".mp4", ".mkv", ".webm")),
    "ffv1": ("ffv1", {"level": "3", "slicecrc": "1"}, 0, 0, (8, 9, 10, 12, 14, 16), (".mkv",)),
}
CODECS = tuple(_ENCODERS)
# ISO 639-1 to 639-2/T, of the languages most often met
_THREE_LETTERS = dict(
    word.split(":")
    for word in "ar:ara bn:ben cs:ces da:dan de:deu el:ell en:eng es:spa fa:fas fi:fin fr:fra he:heb hi:hin hu:hun id:ind "
    "it:ita ja:jpn ko:kor ms:msa nl:nld no:nor pl:pol pt:por ro:ron ru:rus sv:swe ta:tam th:tha tr:tur uk:ukr ur:urd vi:vie "
    "zh:zho".split()
)
_OWN_METADATA = re.compile(r"encoder|duration|bps|number_of_.*|_statistics.*|major_brand|minor_version|compatible_brands", re.I)


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

    def options(self, tags: Tags) -> dict[str, str]:
        """ffmpeg's options for this encoder, HDR10's light levels among them."""
        _, options, crf, most, _, _ = _ENCODERS[self.codec]
        options = options | ({"crf": str(crf if self.crf is None else self.crf)} if most else {})
        return options | _hdr_options(self.codec, options, tags)


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
    kinds = ["audio"] * audio + ["subtitle"] * subtitles + ["attachment"] * (suffix == ".mkv")
    chosen = tuple(stream for stream in recording.list_streams(source) if stream.kind in kinds)
    for stream in chosen:
        if stream.kind != "attachment" and stream.codec not in recording.codecs_in(suffix):
            others = [other for other in SUFFIXES if stream.codec in recording.codecs_in(other)]
            flag = "--no-audio" if stream.kind == "audio" else "--no-subtitles"
            raise ValueError(
                f"{target}: {suffix} cannot hold stream {stream.index} of {source} ({stream.kind}, "
                f"{stream.codec}); {f'name OUT{others[0]}, or ' if others else ''}{advice or f'leave it out with {flag}'}"
            )
    return chosen


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


@dataclass(frozen=True, kw_only=True)
class Along:
    """Streams of a file that go along with the pictures."""

    source: str
    streams: tuple[Stream, ...]
    start_sec: float | None = None
    """Time of the source that becomes 0, where the pictures are not of the same file."""
    length_sec: float | None = None
    """How much of it; None for as long as the pictures, if they are a range of frames, or else all."""


class Writer:
    """Frames in order into an encoder, each with its own time; packets of other streams are copied in between."""

    def __init__(self, container: Any, video: Any, header: Header, source: Recording | None, frames: range | None) -> None:
        self.header, self.num_frames = header, 0
        self._container, self._video, self._source, self._frames = container, video, source, frames
        self._tick = source.tick if source else Fraction(1, header.fps.numerator)
        self._origin, self._last, self._end = 0, -1, 0  # ticks: of the source, and of what is written
        self.along: _Copying | None = None

    def write(self, planes: Planes) -> None:
        """Write one frame, whose planes are as the header says."""
        assert tuple(plane.shape for plane in planes) == self.header.plane_shapes, self.header
        frame = avframe.to_frame(planes, self.header)
        frame.time_base = self._tick
        frame.pts, frame.duration = self._next_time()
        self._last, self._end = frame.pts, frame.pts + frame.duration
        self.num_frames += 1
        self._mux(self._video.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds, and the rest of the other streams, or of the range."""
        self._mux(self._video.encode(None))
        if self.along:
            end_sec = self._end * self._tick if self._frames else None
            self._container.mux(self.along.take(self._origin * self._tick, end_sec))

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            if self.along:
                self._container.mux(self.along.take(self._origin * self._tick, packet.dts * packet.time_base))
            self._container.mux(packet)

    def _next_time(self) -> tuple[int, int]:
        """Time and duration of the next frame in ticks; ValueError where the source has no usable one."""
        usual = round(1 / (self.header.fps * self._tick))
        if self._source is None:
            return self.num_frames * usual, usual
        index = self.num_frames + (self._frames[0] if self._frames else 0)
        time, duration = self._source.times[index], self._source.durations[index]
        if self.num_frames == 0 and time is not None:
            self._origin = time if self._frames else min(self._source.start, time)
        if time is None or time - self._origin <= self._last:
            name = shlex.quote(self._source.path)
            raise ValueError(
                f"{self._source.path}: frame {index} has {'no time' if time is None else 'a time before the last one'}; "
                f"give it a constant rate first: {ffmpeg.binary()} -i {name} -map 0:v -c:v ffv1 -r 25 OUT.mkv"
            )
        return time - self._origin, duration or usual


class _Copying:
    """The packets of the streams that go along, taken in the order of their file."""

    def __init__(self, packets: Iterator[Any], targets: dict[int, Any], along: Along, is_part: bool) -> None:
        self._packets, self._targets, self._along = packets, targets, along
        self._is_part = is_part or along.start_sec is not None or along.length_sec is not None
        self._next = next(packets, None)

    def take(self, origin_sec: Fraction, end_sec: Fraction | None) -> list[Any]:
        """Those that begin before a time after the origin; without those before the origin, where that is cut."""
        taken, along = [], self._along
        origin_sec = origin_sec if along.start_sec is None else Fraction(along.start_sec)
        ends = [Fraction(end) for end in (end_sec, along.length_sec) if end is not None]
        while (packet := self._next) is not None:
            time = (packet.pts if packet.pts is not None else packet.dts or 0) * packet.time_base - origin_sec
            if ends and time >= min(ends):
                break
            if packet.size and (time >= 0 or not self._is_part):
                shift = round(origin_sec / packet.time_base)
                packet.pts, packet.dts = (None if at is None else at - shift for at in (packet.pts, packet.dts))
                packet.stream = self._targets[packet.stream.index]
                taken.append(packet)
            self._next = next(self._packets, None)
        return taken


@contextmanager
def create(
    target: str | Path,
    header: Header,
    encoding: Encoding,
    source: Recording | None = None,
    frames: range | None = None,
    along: Along | None = None,
    tags: Tags | None = None,
) -> Iterator[Writer]:
    """Write a video that appears under its name only when whole.

    `source` is what the pictures were made from, `frames` the range of it (None: all): times and tags are its own.
    Without it the rate is the header's.
    """
    check(header, target, encoding)
    is_full = "XCOLORRANGE=FULL" in header.tokens
    tags = tags or (source.tags if source else Tags(range=avframe.FULL if is_full else 0))
    with files.atomic_path(target) as temporary, ExitStack() as stack:
        tick = source.tick if source else Fraction(1, header.fps.numerator)
        options = {"movflags": "+faststart", "video_track_timescale": str(tick.denominator), "avoid_negative_ts": "disabled"}
        container = av.open(str(temporary), "w", container_options=options)
        stack.callback(_close, container)  # before the file is removed, which its writing of an end would miss
        try:
            writer = Writer(container, _add_video(container, header, encoding, tags, tick), header, source, frames)
            if along:
                given = stack.enter_context(recording.open_container(along.source))
                targets = _add_others(container, given, along, frames is not None)
                packets = given.demux([given.streams[index] for index in targets]) if targets else iter(())
                writer.along = _Copying(packets, targets, along, frames is not None)
            yield writer
            if writer.num_frames == 0:
                raise ValueError(f"{target}: nothing to write, the source gave 0 frames")
            if source and frames is None and writer.num_frames != len(source.times):
                raise ValueError(f"{source.path}: gave {len(source.times)} frames, {writer.num_frames} were made of them")
            writer.finish()
            container.close()
        except av.error.FFmpegError as error:
            raise ffmpeg.FFmpegError(f"{target}: writing failed: {error}") from None


def write_clip(
    target: str | Path,
    header: Header,
    frames: Iterable[Planes],
    encoding: Encoding,
    audio: str | Path | None = None,
    tags: Tags | None = None,
    start_sec: float | None = None,
    length_sec: float | None = None,
) -> int:
    """Write frames at the header's rate with a range of the audio of a file; returns how many frames."""
    check(header, target, encoding)
    along = None
    if audio:
        streams = carried(audio, target, subtitles=False, advice="leave --audio out")
        if not any(stream.kind == "audio" for stream in streams):
            raise ValueError(f"{audio}: has no audio; name a file that has, or leave --audio out")
        along = Along(source=str(audio), streams=streams, start_sec=start_sec, length_sec=length_sec)
    with create(target, header, encoding, along=along, tags=tags) as writer:
        for planes in frames:
            writer.write(planes)
    return writer.num_frames


def _close(container: Any) -> None:
    with suppress(av.error.FFmpegError, OSError, ValueError):
        container.close()


def _add_video(container: Any, header: Header, encoding: Encoding, tags: Tags, tick: Fraction) -> Any:
    """The stream of pictures, with everything that its encoder and container shall say of them."""
    options = encoding.options(tags)
    if header.layout[:2] == (2, 2):
        options["chroma_sample_location"] = header.layout[2]
    video = container.add_stream(
        _ENCODERS[encoding.codec][0], header.fps, options, width=header.width, height=header.height, time_base=tick
    )
    context = video.codec_context
    context.pix_fmt = ffmpeg.pix_fmt(header.chroma)
    context.thread_type = "AUTO"  # PyAV's own choice, slices, costs x264 quality
    context.color_range, context.colorspace = tags.range, tags.matrix
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    if aspect := next((re.fullmatch(r"A([1-9]\d*):([1-9]\d*)", token) for token in header.tokens if token[0] == "A"), None):
        context.sample_aspect_ratio = Fraction(int(aspect[1]), int(aspect[2]))
    if encoding.codec == "x265" and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # what Apple's players want
    if tags.turn:
        video.set_display_matrix(tags.turn)
    return video


def _add_others(container: Any, given: Any, along: Along, is_part: bool) -> dict[int, Any]:
    """A copy of each stream that goes along, by its index in the source; metadata and chapters too."""
    targets = {}
    for stream in along.streams:
        template = given.streams[stream.index]
        targets[stream.index] = copy = container.add_stream_from_template(template)
        copy.metadata.update(_metadata(template.metadata, container.format.name))
        copy.disposition = template.disposition
    container.metadata.update(_metadata(given.metadata, container.format.name))
    video = recording.first_video(given)
    if video is not None:
        container.streams.video[0].metadata.update(_metadata(video.metadata, container.format.name))
    if not is_part:
        container.set_chapters(given.chapters())
    return targets


def _metadata(given: dict[str, str], container: str) -> dict[str, str]:
    """Without what the writer says itself; languages as the container can say them."""
    kept = {name: value for name, value in given.items() if not _OWN_METADATA.fullmatch(name)}
    if "language" in kept and container in ("mp4", "mov"):  # three letters alone: zh-CN becomes zho
        language = kept["language"].split("-")[0].lower()
        kept["language"] = _THREE_LETTERS.get(language, language)
    return kept


def _hdr_options(codec: str, options: dict[str, str], tags: Tags) -> dict[str, str]:
    """HDR10's mastering display and light levels as parameters of x264 and x265; the other coders cannot say them."""
    names = {"x264": ("mastering-display", "cll"), "x265": ("master-display", "max-cll")}
    if codec not in names or not (tags.mastering or tags.light):
        return {}
    params = [options[f"{codec}-params"]] if f"{codec}-params" in options else []
    if tags.mastering:  # fractions: x and y of red, green, blue and white, least and most light
        red, green, blue, white, light = np.frombuffer(tags.mastering, "i4")[:20].reshape(5, 2, 2).tolist()
        pairs = [("G", green), ("B", blue), ("R", red), ("WP", white), ("L", light[::-1])]
        units = {"L": 10000}  # cd/m2; chromaticities in 0.00002
        told = "".join(f"{name}({','.join(str(round(a * units.get(name, 50000) / b)) for a, b in pair)})" for name, pair in pairs)
        params.append(f"{names[codec][0]}={told}")
    if tags.light:
        params.append(f"{names[codec][1]}={','.join(map(str, tags.light))}")
    return {f"{codec}-params": ":".join(params)}
