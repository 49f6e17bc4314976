"""Open what a name is (`file_names`) - y4m clip, pipe, coded video, raw planes, pictures - for its frames, streamed.

`open_clip` opens any of them, `open_420` what `find_material` found as 8-bit 4:2:0. Pictures are a folder or a numbered
pattern; a single one is decoded as a video of one frame.
"""

from __future__ import annotations

import itertools
import math
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from youku.text_table import plural
from youku.video import file_names, y4m
from youku.video.ffmpeg import DEBLOCK, Filter
from youku.video.file_names import VIDEO_SUFFIXES, ClipKind, kind_of_source
from youku.video.y4m import Header, Planes

if TYPE_CHECKING:  # PyAV and what it reads, for coded video and pictures alone
    from youku.video.avframe import Tags
    from youku.video.recording import Recording

Item = TypeVar("Item")


@dataclass(frozen=True)
class Opened:
    """A clip that is being read."""

    header: Header
    frames: Iterable[Planes]
    num_frames: int | None = None
    """Where it is known without reading them all."""
    params: Iterable[str] = field(default_factory=lambda: itertools.repeat(""))
    """What follows FRAME on each frame's own line; kept from files, dropped from stdin, as ffmpeg drops it."""
    tags: Tags | None = None
    """Of pictures, and of a video."""
    recording: Recording | None = None
    """The video that the frames are of."""

    @property
    def likely_frames(self) -> int | None:
        """As many as will come, as the clip or its container says, or as its length would have it."""
        return self.recording.likely_frames if self.num_frames is None and self.recording else self.num_frames

    @property
    def matrix(self) -> str:
        """As `color` calls it; 601 where nothing says."""
        return self.tags.matrix_name if self.tags else "601"

    @property
    def lost_matrix(self) -> str:
        """What is to be said of a video that becomes y4m, which is read as 601; empty where its colours are."""
        if self.recording is None or self.matrix == "601" or len(self.header.plane_shapes) == 1:
            return ""
        return (
            f"its colours are coded by BT.{self.matrix}, which y4m loses: it is read as BT.601; name a video to keep it"
        )

    @property
    def lost_times(self) -> str:
        """What is to be said, once its frames are read, of a video that becomes y4m or pictures; empty at a constant rate."""
        if self.recording is None or not self.recording.is_variable:
            return ""
        lost = f"its rate varies, which y4m and pictures lose: they are {float(self.header.fps):.5g} a second"
        return f"{lost}; `predict` to a video (OUT.mp4) keeps the times"


@dataclass(frozen=True)
class Material:
    """One video, or the pictures that make one clip."""

    name: str
    paths: tuple[Path, ...]


@contextmanager
def open_clip(
    source: str | Path,
    wanted: range | None = None,
    whole: bool = False,
    upright: bool = True,
    progressive: bool = False,
    filters: tuple[Filter, ...] = (),
    num_needed: int | None = None,
    *,
    size: str | None = None,
    fps: Fraction = Fraction(25),
    chroma: str | None = None,
    by_float: bool = False,
    start_sec: float | None = None,
    duration_sec: float | None = None,
) -> Iterator[Opened]:
    """A y4m clip, any video that FFmpeg reads, a folder or pattern of pictures, or "-" (y4m on stdin), for `with`.

    Gives an Opened: its `header` says size, rate and chroma, its `frames` are read once, in order. A frame is a tuple of
    planes Y (H, W), U and V (ceil(H / 2), ceil(W / 2) for 4:2:0), Y alone where there is no colour; uint8, or uint16 above
    8 bit; code values as the file holds them, 16-235 or all (`header.is_full_range`), pictures converted by BT.601.

    wanted: numbers of frames, from 0, that are given alone; `num_frames` says how many they are.
    whole: gives every frame, the wanted ones among their true neighbours: what a multi-frame network needs.
    upright: turn pictures as the file's tag says. progressive: refuse interlaced pictures of a video.
    filters: of FFmpeg, such as ffmpeg.DEINTERLACE["frame"]. num_needed: read so many of a y4m file that is cut off.
    size: WIDTHxHEIGHT of raw planes. fps: theirs, and of pictures. by_float: read pictures without ffmpeg.
    chroma: layout of raw planes, and what pictures and videos are turned into.
    start_sec, duration_sec: a range of seconds alone; of pictures, which have no times, every frame in any case.

    ValueError for what is no clip, is damaged, or ends before the last frame that is wanted.
    """
    path, kind, cut = Path(source), kind_of_source(source), (start_sec, duration_sec)
    with ExitStack() as stack:
        if filters or kind is ClipKind.VIDEO:
            seen: dict[str, Any] = {"filters": filters, "upright": upright, "progressive": progressive}
            seen |= {"start_sec": start_sec, "duration_sec": duration_sec}
            opened = stack.enter_context(_open_video(path, chroma, kind, seen))
        elif kind is ClipKind.STREAM:
            stream = y4m.StreamReader(sys.stdin.buffer, "stdin")
            opened = Opened(stream.header, within(stream, stream.header.fps, *cut))
        elif kind is ClipKind.Y4M:
            clip = y4m.Clip(path, wanted[-1] + 1 if wanted and not whole else num_needed)
            params, rate = (clip.frame_params(index) for index in range(clip.num_frames)), clip.header.fps
            num_frames = clip.num_frames if cut == (None, None) else None
            opened = Opened(clip.header, within(clip, rate, *cut), num_frames, within(params, rate, *cut))
        elif kind is ClipKind.YUV:
            header = _header_of_raw(path, size, fps, chroma or "420jpeg")
            opened = Opened(header, within(_raw_frames(path, header), fps, *cut))
        elif kind is ClipKind.PICTURES:
            opened = stack.enter_context(_open_pictures(path, fps, chroma, by_float))
        else:
            raise ValueError(f"{source}: {kind} holds no frames of a clip; name a clip, a video or pictures")
        yield opened if wanted is None else _with_wanted(opened, wanted, whole, source)


@contextmanager
def _open_video(path: Path, chroma: str | None, kind: ClipKind, seen: dict[str, Any]) -> Iterator[Opened]:
    from youku.video import pictures
    from youku.video.recording import open_recording

    with open_recording(path, chroma=pictures.unsited(chroma) if chroma else None, **seen) as recording:
        is_same = kind is ClipKind.Y4M and seen["filters"] == DEBLOCK  # its own header has the tokens that FFmpeg drops
        header = y4m.Clip(path).header if is_same else recording.header
        if not header.is_like(recording.header):
            raise ValueError(f"{path}: ffmpeg's deblock cannot keep C{header.chroma}; convert to 420 first")
        yield Opened(header, recording, tags=recording.tags, recording=recording)


@contextmanager
def _open_pictures(path: Path, fps: Fraction, chroma: str | None, by_float: bool) -> Iterator[Opened]:
    """Gray planes as they are; RGB with the tags that it gets by ffmpeg and by float alike."""
    from youku.video import pictures

    if (path / file_names.PLANE_INDEX).is_file():
        header, planes, lines = pictures.read_planes(path)
        yield Opened(header, planes, params=lines)
        return
    from youku.video import avframe

    with pictures.open_rgb(path, fps, chroma, by_float) as (header, coloured):
        range_of = avframe.FULL if header.is_full_range else avframe.STUDIO
        yield Opened(header, coloured, tags=avframe.Tags(range=range_of, matrix=avframe.BT601))


def _with_wanted(opened: Opened, wanted: range, whole: bool, source: str | Path) -> Opened:
    """The same clip with the wanted frames alone, or with all of them; ValueError where it is known to have fewer."""
    most = opened.recording.most_frames if opened.recording else opened.num_frames
    if most is not None and wanted[-1] >= most:
        raise ValueError(f"{source}: has {plural(most, 'frame')}, frame {wanted[-1]} was asked for")
    frames = opened.frames if whole else _choose(opened.frames, wanted, source)
    return replace(opened, frames=frames, num_frames=len(wanted))


def _choose(frames: Iterable[Planes], wanted: range, name: str | Path) -> Iterator[Planes]:
    """The wanted frames of a stream that cannot seek."""
    index = -1
    for index, planes in enumerate(frames):
        if index in wanted:
            yield planes
        if index == wanted[-1]:
            return
    raise too_short(name, wanted, index + 1)


def too_short(name: str | Path, wanted: range | None, num_frames: int | None = None) -> ValueError:
    """The error for a stream that ended before the last wanted frame, after `num_frames` where that is known."""
    last, after = wanted[-1] if wanted else 0, "" if num_frames is None else f" after {plural(num_frames, 'frame')}"
    return ValueError(f"{'stdin' if name == '-' else name}: ended{after} before frame {last}, which was asked for")


def find_material(names: Sequence[str | Path], sequence: bool = False) -> list[Material]:
    """Videos and pictures named, or lying in the folders named, in order; ValueError for what is neither."""
    found: list[Material] = []
    for path in map(Path, names):
        is_set = path.is_dir() or file_names.is_pattern(path)
        if not is_set and not path.is_file():
            raise ValueError(f"{path}: no such file or folder; check the path")
        inside = sorted(path.iterdir()) if path.is_dir() else []
        videos = [one for one in inside if one.suffix.lower() in VIDEO_SUFFIXES and not one.name.startswith(".")]
        alone = videos if is_set else [path]
        pictures = [] if alone else file_names.find_pictures(path)
        if sequence and pictures:
            found.append(Material(str(path), tuple(pictures)))
        else:
            found += [Material(str(one), (one,)) for one in alone or pictures]
    return found


@contextmanager
def open_420(source: Material) -> Iterator[Opened]:
    """Frames as 8-bit 4:2:0: y4m of that kind as it is, pictures in float, all else converted by ffmpeg."""
    first = source.paths[0]
    if first.suffix.lower() in file_names.PICTURE_SUFFIXES:
        from youku.video import pictures

        header = y4m.make_header(*pictures.common_size(source.paths))
        yield Opened(header, pictures.to_planes(source.paths, header))
        return
    from youku.video.recording import interlaced, open_recording

    if kind_of_source(first) is ClipKind.Y4M:
        clip = y4m.Clip(first)
        if clip.header.is_interlaced:
            raise interlaced(str(first), is_clip=True)
        if clip.header.depth == 8 and clip.header.layout[:2] == (2, 2):
            yield Opened(clip.header, clip)
            return
    with open_recording(first, chroma="420", whole=True, progressive=True) as recording:
        yield Opened(recording.header, recording, recording=recording)


def within(
    frames: Iterable[Item], fps: Fraction, start_sec: float | None, duration_sec: float | None
) -> Iterator[Item]:
    """The frames of a constant rate whose time is at the start or after it, and before its end."""
    start, length = (Fraction(sec or 0).limit_denominator(10**6) for sec in (start_sec, duration_sec))
    last = None if duration_sec is None else math.ceil((start + length) * fps)
    return itertools.islice(frames, math.ceil(start * fps), last)


def _header_of_raw(path: Path, size: str | None, fps: Fraction, chroma: str) -> Header:
    """`size` is WIDTHxHEIGHT and must divide the file into whole frames, else ValueError."""
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", size or "")
    if not match:
        raise ValueError(
            f"{path}: raw planes have no header; to `convert` give --size WIDTHxHEIGHT (got {size}), for other verbs "
            "convert them to y4m first"
        )
    header = y4m.make_header(int(match[1]), int(match[2]), fps, chroma)
    total_bytes = path.stat().st_size
    if not total_bytes or total_bytes % header.frame_bytes:
        raise ValueError(
            f"{path}: {total_bytes} bytes are not a whole number of {size} C{header.chroma} frames "
            f"({header.frame_bytes} bytes each); check --size and --chroma"
        )
    return header


def _raw_frames(path: Path, header: Header) -> Iterator[Planes]:
    with path.open("rb") as file:
        for index, data in enumerate(iter(partial(file.read, header.frame_bytes), b"")):
            yield y4m.split_planes(data, header, str(path), index)
