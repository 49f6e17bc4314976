"""Convert clips: y4m <-> yuv, numbered bmp or png; every N-th frame; videos <-> y4m, pictures; pictures <-> HDF5.

IN and OUT decide by their names: x.y4m or - (stdin, stdout), x.yuv (needs --size), frame%3d.bmp, a folder of pictures,
any other file is a video: ffmpeg decodes it, or makes .mp4, .mkv, .mov, .webm of pictures or y4m. Results equal the
organiser's five ffmpeg commands byte for byte:

    ffmpeg -i x.y4m -vsync 0 x.yuv                            convert x.y4m x.yuv
    ffmpeg -s 1920x1080 -i x.yuv -vsync 0 x.y4m               convert x.yuv x.y4m --size 1920x1080
    ffmpeg -i x.y4m -vsync 0 x%3d.bmp                         convert x.y4m x%3d.bmp
    ffmpeg -i x%3d.bmp -pix_fmt yuv420p -vsync 0 x.y4m        convert x%3d.bmp x.y4m
    ffmpeg -i x.y4m -vf select='not(mod(n\\,25))' -vsync 0 y.y4m   convert x.y4m y.y4m --every 25

Pictures of a range of a film, and a film of pictures with the sound of that range:

    convert film.mp4 f-%06d.png --start 1:30 --duration 10
    convert f-%06d.png part.mkv --fps 24 --audio film.mp4 --start 1:30 --duration 10

Header tokens are kept, also those that ffmpeg drops. RGB pictures cost quality (`--report CLIP` says how much);
`--planes` writes y, u and v as gray pictures instead and reads them back exactly.
`--deblock` smooths the borders of 8x8 blocks: predict from `convert l.y4m soft.y4m --deblock` and from l.y4m, score both.

A folder of pictures -> x.h5 gives the luma patches that FSRCNN-pytorch trains on (`--patch 16 --stride 5` at x4: the
old-film report's 64x64 at 20), `--hdf5 eval` its evaluation file; x.h5 -> folder gives them back as gray png.

Run: python -m youku convert IN OUT
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from youku import cli
from youku.metrics.picture_cost import describe, measure
from youku.video import clips, container, ffmpeg, hdf5, picture_sets, pictures, timeline, y4m, yuv
from youku.video.y4m import Header, Planes

ROUTES = ("ffmpeg", "float")
FRAME_FLAGS = (
    *("size", "chroma", "fps", "every", "format", "route", "planes", "force", "deblock"),
    *("start", "duration", "audio", "codec", "crf"),
)
HDF5_FLAGS = ("hdf5", "scale", "patch", "stride", "augment")
Item = TypeVar("Item")
Frames = Iterable[tuple[Planes, str]]  # planes and the FRAME line's parameters


@dataclass(frozen=True, kw_only=True)
class Options:
    """How to read and write; the names of IN and OUT decide the rest."""

    size: str | None = None
    """WIDTHxHEIGHT of a raw .yuv input."""
    chroma: str | None = None
    """Chroma of a .yuv (420jpeg as ffmpeg assumes), of pictures or of a decoded video."""
    fps: str | None = None
    """Frames a second of a .yuv or picture input, 25 or 30000/1001."""
    every: int = 1
    """Keep frames 0, N, 2N and so on."""
    format: str | None = None
    """bmp or png when OUT is a folder; png unless given."""
    route: str = "ffmpeg"
    """Who converts colours for RGB pictures: ffmpeg, or float with chroma at its own siting."""
    planes: bool = False
    """Write gray pictures of the planes instead of RGB."""
    force: bool = False
    """Replace pictures that are already there."""
    deblock: bool = False
    """Pass a y4m file or video through ffmpeg's deblock filter (old-film report, 4.9.4)."""
    start: float | None = None
    """Seconds at which to begin; of pictures, where in the audio file they begin."""
    duration: float | None = None
    """Seconds to keep from there."""
    audio: str | None = None
    """File whose audio goes into an OUT video."""
    codec: str | None = None
    """One of container.CODECS, for an OUT video."""
    crf: int | None = None
    """Quality of an OUT video."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"--every {self.every}: expected 1 or more")
        if self.route not in ROUTES:
            raise ValueError(f"--route {self.route}: expected one of {', '.join(ROUTES)}")
        if self.planes and self.format == "bmp":
            raise ValueError("--planes writes png only; leave --format bmp out")


def convert(source: str | Path, target: str | Path, options: Options) -> int:
    """Convert `source` to `target`; returns the number of frames written; ValueError for bad input."""
    _refuse_same(source, target)
    _refuse_useless_for(source, target, options)
    with open_source(source, options) as (header, frames):
        kept = itertools.islice(clips.some(frames, str(source), options.start), 0, None, options.every)
        from_rgb = _kind(source) == "pictures" and not (Path(source) / pictures.PLANE_INDEX).is_file()
        return _write(target, header, _progress(kept), options, from_rgb)


@contextmanager
def open_source(source: str | Path, options: Options) -> Iterator[tuple[Header, Frames]]:
    """Header and frames of a y4m clip, stdin, .yuv, picture set, folder of gray planes or video.

    FRAME parameters are kept from files; from stdin they are dropped, as ffmpeg drops them.
    """
    path, kind = Path(source), _kind(source)
    _refuse_useless(kind, options)
    if options.deblock:
        with ffmpeg.deblock(path, kind == "y4m") as (header, planes_of_frames):
            yield (
                header,
                clips.within(
                    ((planes, "") for planes in planes_of_frames), header.fps, options.start, options.duration
                ),
            )
    elif kind == "y4m":
        clip = y4m.Clip(path)
        every = ((clip.frame(index), clip.frame_params(index)) for index in range(clip.num_frames))
        yield clip.header, clips.within(every, clip.header.fps, options.start, options.duration)
    elif kind == "stream":
        reader = y4m.StreamReader(sys.stdin.buffer, "stdin")
        yield (
            reader.header,
            clips.within(((planes, "") for planes in reader), reader.header.fps, options.start, options.duration),
        )
    elif kind == "yuv":
        header, raw = yuv.read(path, options.size, _fps(options), options.chroma or "420jpeg")
        yield header, clips.within(((planes, "") for planes in raw), header.fps, options.start, options.duration)
    elif kind == "pictures" and (path / pictures.PLANE_INDEX).is_file():
        yield pictures.read_planes(path)
    elif kind == "pictures":
        with pictures.open_rgb(path, _fps(options), options.chroma, options.route == "float") as (header, coloured):
            yield header, ((planes, "") for planes in coloured)
    else:
        pix_fmt = ffmpeg.pix_fmt(pictures.unsited(options.chroma)) if options.chroma else None
        with ffmpeg.decode(path, pix_fmt, start_sec=options.start, duration_sec=options.duration) as reader:
            yield reader.header, ((planes, "") for planes in reader)


def convert_hdf5(source: str | Path, target: str | Path, plan: hdf5.Plan) -> int:
    """Pictures to an HDF5 file, or such a file to gray pictures; returns how many patches or pictures."""
    if _kind(source) != "hdf5":
        return hdf5.write(picture_sets.find(source, plan.scale), Path(target), plan, _progress)
    if _kind(target) != "pictures":
        raise ValueError(f"{target}: HDF5 turns into a folder of gray png; name a folder")
    return hdf5.to_pictures(source, Path(target))


def _write(target: str | Path, header: Header, frames: Frames, options: Options, from_rgb: bool) -> int:
    kind = _kind(target)
    if kind in ("y4m", "stream"):
        with y4m.create(target, header) as writer:
            for planes, params in frames:
                writer.write(planes, params)
        return writer.num_frames
    if kind == "yuv":
        return yuv.write(Path(target), (planes for planes, _ in frames))
    if kind == "video":
        plain = (planes for planes, _ in frames)
        encoding = container.default_encoding(target, options.codec, options.crf)
        colours = {"range": "tv", "colorspace": "smpte170m"} if from_rgb else {}  # the matrix of both routes
        times = timeline.of_clip(header, options.audio, colours, options.start, options.duration)
        return container.write_clip(target, header, plain, times, encoding)
    if options.planes:
        return pictures.write_planes(Path(target), header, frames, options.force)
    pattern = Path(target)
    if not pictures.is_pattern(pattern):
        pattern = pattern / f"%06d.{options.format or 'png'}"
    elif options.format and pattern.suffix != f".{options.format}":
        raise ValueError(f"{target}: --format {options.format} contradicts the name; leave one of them out")
    write = pictures.write_by_float if options.route == "float" else pictures.write_by_ffmpeg
    return write(pattern, header, (planes for planes, _ in frames), options.force)


def picture_cost(path: str | Path, every: int = 1) -> dict[str, Any]:
    """What every `every`-th frame of a clip loses in 8-bit RGB pictures: see `video.picture_cost`."""
    with open_source(path, Options(every=every)) as (header, frames):
        kept = itertools.islice(_progress(frames), 0, None, every)
        return {"clip": str(path), **measure(header, (planes for planes, _ in kept))}


def _kind(path: str | Path) -> str:
    text, path = str(path), Path(path)
    if text == "-":
        return "stream"
    if pictures.is_pattern(path) or path.is_dir() or text.endswith("/"):
        return "pictures"
    if path.suffix.lower() in (".y4m", ".yuv"):
        return path.suffix.lower()[1:]
    if path.suffix.lower() in hdf5.SUFFIXES:
        return "hdf5"
    return "video" if path.suffix or path.is_file() else "pictures"


def _refuse_same(source: str | Path, target: str | Path) -> None:
    if "-" not in (str(source), str(target)) and Path(source).resolve() == Path(target).resolve():
        raise ValueError(f"{target}: OUT is IN; inputs are never overwritten, name another file")


def _refuse_useless_for(source: str | Path, target: str | Path, options: Options) -> None:
    """Options and pairs of names that make no sense together."""
    kind, to_video = _kind(source), _kind(target) == "video"
    if to_video and not container.is_video(target):
        names = ", ".join(f"OUT{suffix}" for suffix in container.SUFFIXES)
        raise ValueError(f"{target}: expected OUT to be .y4m, .yuv, -, frame%3d.bmp, a folder or a video ({names})")
    if kind == "video" and not Path(source).is_file():
        raise ValueError(f"{source}: no such file; check the path")
    if to_video and kind == "video":
        raise ValueError(f"{source}: is a video already; `predict` makes videos of videos, or convert it to OUT.y4m")
    given = {"--audio": options.audio, "--codec": options.codec, "--crf": options.crf}
    for flag in (flag for flag, value in given.items() if value is not None and not to_video):
        raise ValueError(f"{flag} has no effect on {target}, which is no video; leave it out, or name OUT.mp4")
    if kind == "pictures" and not options.audio and (options.start is not None or options.duration is not None):
        raise ValueError(f"{source}: pictures have no times; --start and --duration need a clip or a video, or --audio")
    if to_video and options.every > 1 and options.audio:
        raise ValueError("--every with --audio: the frames left would not last as long as the audio; drop one of them")


def _refuse_useless(kind: str, options: Options) -> None:
    """Options that this kind of input would silently ignore."""
    useless = {
        "--size": options.size is not None and kind != "yuv",
        "--chroma": options.chroma is not None and kind in ("y4m", "stream"),
        "--fps": options.fps is not None and kind not in ("yuv", "pictures"),
    }
    if options.deblock and (kind not in ("y4m", "video") or options.chroma):
        raise ValueError(f"--deblock wants a y4m file or a video, and no --chroma; got {kind}: convert it to y4m first")
    for flag in (flag for flag, given in useless.items() if given):
        raise ValueError(f"{flag} has no effect on this input ({kind}), whose own header says it; leave it out")


def _fps(options: Options) -> Fraction:
    try:
        fps = Fraction(options.fps or "25")
    except (ValueError, ZeroDivisionError):
        fps = Fraction(0)
    if fps <= 0:
        raise ValueError(f"--fps {options.fps}: expected a rate such as 25 or 30000/1001")
    return fps


def _progress(items: Iterable[Item]) -> Iterable[Item]:
    from tqdm import tqdm

    return tqdm(items, unit="frame", disable=None, leave=False)


def _refuse_flags(args: argparse.Namespace, flags: Iterable[str]) -> None:
    """Flags that this pair of IN and OUT would silently ignore."""
    for flag in (flag for flag in flags if vars(args)[flag] != make_parser().get_default(flag)):
        raise ValueError(f"--{flag} has no effect on {args.source} -> {args.target}; leave it out")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("convert", __doc__)
    parser.add_argument("source", metavar="IN", nargs="?", help="y4m, - (stdin), yuv, frame%%3d.bmp, folder or video")
    parser.add_argument("target", metavar="OUT", nargs="?", help="y4m, - (stdout), yuv, frame%%3d.bmp, folder or video")
    parser.add_argument("--report", metavar="CLIP", help="print what an 8-bit RGB round trip costs, per plane, in dB")
    parser.add_argument("--size", metavar="WxH", help="size of a .yuv input")
    parser.add_argument(
        "--chroma",
        help=".yuv: 420jpeg (default, as ffmpeg), 420mpeg2 (the contest's), 422, 444, mono, 420p10; video: 420 ...",
    )
    parser.add_argument("--fps", help="frames a second of a .yuv or picture input (default 25)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="keep every N-th frame, from frame 0")
    parser.add_argument("--format", choices=pictures.WRITABLE, help="kind of pictures in an OUT folder (default png)")
    parser.add_argument("--route", choices=ROUTES, default="ffmpeg", help="who converts colours for pictures")
    parser.add_argument("--planes", action="store_true", help="write y, u, v as gray png: no loss")
    parser.add_argument("--deblock", action="store_true", help="smooth block borders of a y4m file or video first")
    parser.add_argument("--start", type=timeline.parse_sec, metavar="TIME", help="begin there: 90, 1:30 or 0:01:30.5")
    parser.add_argument("--duration", type=timeline.parse_sec, metavar="TIME", help="keep that long from there")
    parser.add_argument("--audio", metavar="FILE", help="copy the audio of this file into an OUT video")
    parser.add_argument("--codec", choices=container.CODECS, help="of an OUT video (default x264; vp9 for .webm)")
    parser.add_argument("--crf", type=int, help="quality of an OUT video, smaller is better (default x264 18)")
    parser.add_argument("--force", action="store_true", help="replace pictures that are there already")
    parser.add_argument("--hdf5", choices=hdf5.FORMS, default="train", help="OUT.h5: patches (default) or pictures")
    parser.add_argument("--scale", type=int, default=4, metavar="N", help="factor of an OUT.h5 (default 4)")
    parser.add_argument("--patch", type=int, metavar="PX", help="side of an lr patch (default 10, 7, 6 for x2, x3, x4)")
    parser.add_argument("--stride", type=int, metavar="PX", help="step between lr patches (default: the scale)")
    parser.add_argument("--augment", action="store_true", help="FSRCNN's 20 views of each picture: sizes, rotations")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _act(args: argparse.Namespace) -> int:
    if args.report:
        if args.source or args.target:
            raise cli.UsageError("--report CLIP stands alone; leave IN and OUT out")
        cost = picture_cost(args.report, args.every)
        print(json.dumps(cost, indent=2)) if args.json else print(describe(cost))
        return 0
    if not args.source or not args.target:
        raise cli.UsageError("expected IN and OUT, or --report CLIP")
    kinds = (_kind(args.source), _kind(args.target))
    _refuse_flags(args, (FRAME_FLAGS if "hdf5" in kinds else ()) + (() if kinds[1] == "hdf5" else HDF5_FLAGS))
    if "hdf5" in kinds:
        plan = hdf5.Plan(**{name: vars(args)[name] for name in HDF5_FLAGS})
        number, what = convert_hdf5(args.source, args.target, plan), "pairs"
    else:
        options = Options(**{name: vars(args)[name] for name in FRAME_FLAGS})
        number, what = convert(args.source, args.target, options), "frames"
    told = json.dumps({"out": args.target, what: number}) if args.json else f"{number} {what} -> {args.target}"
    print(told, file=sys.stderr if args.target == "-" else sys.stdout)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _act, argv)


if __name__ == "__main__":
    raise SystemExit(main())
