"""Convert a clip to another: y4m, raw planes, numbered pictures, a video; its name says what each is (`file_names.kind_of`).

Names and a `Conversion` -> a file, stdout or a set of pictures that appears whole. Header tokens and FRAME parameters are
kept between y4m files and folders of gray planes.
"""

from __future__ import annotations

import itertools
import logging
import re
from argparse import ArgumentTypeError
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from youku.cli import Watch, option, unwatched
from youku.files import atomic_write
from youku.video import clips, ffmpeg, file_names, y4m
from youku.video.clips import Opened
from youku.video.file_names import ClipKind
from youku.video.y4m import Planes

_log = logging.getLogger(__name__)
ROUTES = ("ffmpeg", "float")
FORMS = ("train", "eval")  # of an HDF5 file
PATCH_PX = {2: 10, 3: 7, 4: 6}  # of the low resolution, FSRCNN's


def parse_sec(text: str) -> float:
    """Seconds of SS, MM:SS or HH:MM:SS, each with a fraction if need be; argparse's own error otherwise."""
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text):
        raise ArgumentTypeError(f"expected a time such as 90, 1:30 or 0:01:30.5, got {text!r}")
    return sum(float(part) * 60**power for power, part in enumerate(reversed(text.split(":"))))


Frames = Iterable[tuple[Planes, str]]  # planes and the FRAME line's parameters


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """How to read and write, the flags of `convert`; the names of IN and OUT decide the rest."""

    size: str | None = option(None, "size of a .yuv input", metavar="WxH")
    chroma: str | None = option(
        None,
        ".yuv: 420jpeg (default, as ffmpeg), 420mpeg2 (the contest's), 422, 444, mono, 420p10; video: 420 ...",
    )
    fps: str | None = option(None, "frames a second of a .yuv or picture input (default 25)")
    every: int = option(1, "keep every N-th frame, from frame 0", type=int, metavar="N")
    format: str | None = option(
        None, "kind of pictures in an OUT folder (default png)", choices=file_names.WRITABLE_PICTURES
    )
    route: str = option("ffmpeg", "who converts colours for pictures", choices=ROUTES)
    planes: bool = option(False, "write y, u, v as gray png: no loss", action="store_true")
    deblock: bool = option(False, "smooth block borders of a y4m file or video first", action="store_true")
    start: float | None = option(None, "begin there: 90, 1:30 or 0:01:30.5", type=parse_sec, metavar="TIME")
    duration: float | None = option(None, "keep that long from there", type=parse_sec, metavar="TIME")
    audio: str | None = option(None, "copy the audio of this file into an OUT video", metavar="FILE")
    codec: str | None = option(None, "of an OUT video (default x264; vp9 for .webm)", choices=file_names.CODECS)
    crf: int | None = option(None, "quality of an OUT video, smaller is better (default x264 18)", type=int)
    force: bool = option(
        False, "replace the pictures that it made there, and others of the new names", action="store_true"
    )

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"--every {self.every}: expected 1 or more")
        if self.route not in ROUTES:
            raise ValueError(f"--route {self.route}: expected one of {', '.join(ROUTES)}")
        if self.planes and self.format == "bmp":
            raise ValueError("--planes writes png only; leave --format bmp out")

    @property
    def rate(self) -> Fraction:
        """`fps` as a number; ValueError for what is none."""
        try:
            fps = Fraction(self.fps or "25")
        except (ValueError, ZeroDivisionError):
            fps = Fraction(0)
        if fps <= 0:
            raise ValueError(f"--fps {self.fps}: expected a rate such as 25 or 30000/1001")
        return fps


@dataclass(frozen=True, kw_only=True)
class Content:
    """What an HDF5 file holds, the flags of `convert`; patch and stride are in low-resolution pixels.

    The report's 64x64 of high resolution at 20 are a patch of 16 and a stride of 5 at x4.
    """

    hdf5: str = option("train", "OUT.h5: patches (default) or pictures", choices=FORMS)
    scale: int = option(4, "factor of an OUT.h5 (default 4)", type=int, metavar="N")
    patch: int | None = option(None, "side of an lr patch (default 10, 7, 6 for x2, x3, x4)", type=int, metavar="PX")
    stride: int | None = option(None, "step between lr patches (default: the scale)", type=int, metavar="PX")
    augment: bool = option(False, "FSRCNN's 20 views of each picture: sizes, rotations", action="store_true")

    def __post_init__(self) -> None:
        if self.hdf5 not in FORMS:
            raise ValueError(f"--hdf5 {self.hdf5}: expected one of {', '.join(FORMS)}")
        for flag, value in (("--scale", self.scale), ("--patch", self.patch), ("--stride", self.stride)):
            if value is not None and value < 1:
                raise ValueError(f"{flag} {value}: expected 1 or more")
        if self.hdf5 == "eval" and (self.patch or self.stride or self.augment):
            raise ValueError("--patch, --stride and --augment have no effect on whole pictures; leave --hdf5 eval out")
        if self.hdf5 == "train" and not self.patch and self.scale not in PATCH_PX:
            raise ValueError(f"--scale {self.scale}: FSRCNN names no patch for it; give --patch")


def convert(source: str | Path, target: str | Path, wanted: Conversion, watch: Watch = unwatched) -> int:
    """Convert `source` to `target`; returns the number of frames written. `watch` wraps the frames for progress."""
    _refuse_useless(source, target, wanted)
    with clips.open_clip(
        source,
        size=wanted.size,
        fps=wanted.rate,
        chroma=wanted.chroma,
        by_float=wanted.route == "float",
        filters=ffmpeg.DEBLOCK if wanted.deblock else (),
        start_sec=wanted.start,
        duration_sec=wanted.duration,
    ) as opened:
        frames = _some(zip(opened.frames, opened.params, strict=False), str(source), wanted.start)
        total = opened.likely_frames and -(-opened.likely_frames // wanted.every)
        watched = watch(itertools.islice(frames, 0, None, wanted.every), Path(target).name, total)
        num_frames = _write(target, opened, watched, wanted)
        if opened.lost_times:
            _log.warning("%s: %s", source, opened.lost_times)
        if opened.lost_matrix and (target == "-" or Path(target).suffix.lower() == ".y4m"):
            _log.warning("%s: %s", source, opened.lost_matrix)
        return num_frames


def _some(frames: Frames, name: str, start_sec: float | None) -> Iterator[tuple[Planes, str]]:
    """The same frames; where a start was asked for that has none, ValueError saying so."""
    is_empty = True
    for frame in frames:
        is_empty = False
        yield frame
    if is_empty and start_sec:
        raise ValueError(f"{name}: has no frame at --start {start_sec:g} s; it is shorter than that")


def _write(target: str | Path, opened: Opened, frames: Frames, wanted: Conversion) -> int:
    kind, header, path = file_names.kind_of(target), opened.header, Path(target)
    plain = (planes for planes, _ in frames)
    if kind in (ClipKind.Y4M, ClipKind.STREAM):
        with y4m.create(target, header) as writer:
            for planes, params in frames:
                writer.write(planes, params)
        return writer.num_frames
    if kind is ClipKind.YUV:
        num_frames = 0
        with atomic_write(path) as file:
            for planes in plain:
                file.writelines(np.ascontiguousarray(plane).data for plane in planes)
                num_frames += 1
        return num_frames
    if kind is ClipKind.VIDEO:
        from youku.video import container, encoding  # PyAV: y4m and raw planes go without

        coding = encoding.default_encoding(target, wanted.codec, wanted.crf, header)
        cut = wanted.start, wanted.duration
        return container.write_clip(target, header, plain, coding, wanted.audio, opened.tags, *cut)
    from youku.video import picture_writer

    if wanted.planes:
        return picture_writer.write_planes(path, header, frames, wanted.force)
    if not file_names.is_pattern(path):
        path = path / f"%06d.{wanted.format or 'png'}"
    elif wanted.format and path.suffix != f".{wanted.format}":
        raise ValueError(f"{target}: --format {wanted.format} contradicts the name; leave one of them out")
    write = picture_writer.write_by_float if wanted.route == "float" else picture_writer.write_by_ffmpeg
    return write(path, header, plain, wanted.force, opened.matrix)


def _refuse_useless(source: str | Path, target: str | Path, wanted: Conversion) -> None:
    """ValueError for names that make no pair, and for settings that this pair would silently ignore."""
    kind, to_video = file_names.kind_of_source(source), file_names.kind_of(target) is ClipKind.VIDEO
    if "-" not in (str(source), str(target)) and Path(source).resolve() == Path(target).resolve():
        raise ValueError(f"{target}: OUT is IN; inputs are never overwritten, name another file")
    if to_video and not file_names.is_video(target):
        names = ", ".join(f"OUT{suffix}" for suffix in file_names.WRITABLE_VIDEOS)
        path, numbered = Path(target), ""
        if path.suffix.lower() in file_names.PICTURE_SUFFIXES:
            numbered = f"; pictures are numbered: name {path.stem}%3d.png or {path.stem}/"
        raise ValueError(
            f"{target}: expected OUT to be .y4m, .yuv, -, frame%3d.bmp, a folder or a video ({names}){numbered}"
        )
    if kind is ClipKind.VIDEO and not Path(source).is_file():
        raise ValueError(f"{source}: no such file; check the path")
    if to_video and kind is ClipKind.VIDEO:
        raise ValueError(f"{source}: is a video already; `predict` makes videos of videos, or convert it to OUT.y4m")
    given = {"--audio": wanted.audio, "--codec": wanted.codec, "--crf": wanted.crf}
    for flag in (flag for flag, value in given.items() if value is not None and not to_video):
        raise ValueError(f"{flag} has no effect on {target}, which is no video; leave it out, or name OUT.mp4")
    if kind is ClipKind.PICTURES and not wanted.audio and (wanted.start, wanted.duration) != (None, None):
        raise ValueError(f"{source}: pictures have no times; --start and --duration need a clip or a video, or --audio")
    if to_video and wanted.every > 1 and wanted.audio:
        raise ValueError("--every with --audio: the frames left would not last as long as the audio; drop one of them")
    if wanted.deblock and (kind not in (ClipKind.Y4M, ClipKind.VIDEO) or wanted.chroma):
        raise ValueError(f"--deblock wants a y4m file or a video, and no --chroma; got {kind}: convert it to y4m first")
    useless = {
        "--size": wanted.size is not None and kind is not ClipKind.YUV,
        "--chroma": wanted.chroma is not None and kind in (ClipKind.Y4M, ClipKind.STREAM),
        "--fps": wanted.fps is not None and kind not in (ClipKind.YUV, ClipKind.PICTURES),
    }
    for flag in (flag for flag, is_given in useless.items() if is_given):
        raise ValueError(f"{flag} has no effect on this input ({kind}), whose own header says it; leave it out")
