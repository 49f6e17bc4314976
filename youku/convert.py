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
`--planes` writes gray y, u and v, which read back exactly. `--force` replaces what .pictures.json says was made there.
`--deblock` smooths the borders of 8x8 blocks: predict from `convert l.y4m soft.y4m --deblock` and from l.y4m, score both.

A folder of pictures -> x.h5 gives the luma patches that FSRCNN-pytorch trains on (`--patch 16 --stride 5` at x4: the
old-film report's 64x64 at 20), `--hdf5 eval` its evaluation file; x.h5 -> folder gives them back as gray png.

    python -m youku convert film.mp4 clip.y4m
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from youku import cli, files, shards
from youku.text_table import plural
from youku.video import clips, file_names
from youku.video.conversion import Content, Conversion, convert
from youku.video.file_names import ClipKind

_watch = partial(cli.watch, is_kept=False)


def convert_hdf5(source: str | Path, target: str | Path, content: Content) -> int:
    """Pictures to an HDF5 file, or such a file to gray pictures; returns how many patches or pictures."""
    from youku.video import hdf5, picture_sets

    if file_names.kind_of(source) is not ClipKind.HDF5:
        return hdf5.write(picture_sets.find(source, content.scale), Path(target), content, _watch)
    if file_names.kind_of(target) is not ClipKind.PICTURES:
        raise ValueError(f"{target}: HDF5 turns into a folder of gray png; name a folder")
    return hdf5.to_pictures(source, Path(target))


def list_clips(source: str, target: str, to_pictures: bool) -> list[tuple[Path, Path]]:
    """Each y4m clip of an IN folder without pictures and its place in OUT, which must be a folder; nothing of other INs."""
    inside = sorted(path for path in Path(source).iterdir() if path.name[0] != ".") if Path(source).is_dir() else []
    found = [path for path in inside if file_names.kind_of(path) is ClipKind.Y4M]
    if not found or any(path.suffix.lower() in file_names.PICTURE_SUFFIXES for path in inside):
        return []
    if target == "-" or file_names.is_pattern(target):
        raise ValueError(f"{target}: {source} is a folder of clips, so the output must be a folder too")
    file_names.check_folder(target)
    return [(path, Path(target) / (path.stem if to_pictures else path.name)) for path in found]


def _report(args: argparse.Namespace) -> None:
    """Print what every --every-th frame of a clip loses in 8-bit RGB pictures."""
    from youku.metrics import psnr

    Conversion(every=args.every)
    with clips.open_clip(args.report) as opened:
        frames = _watch(opened.frames, Path(args.report).name, opened.likely_frames)
        cost = {"clip": args.report, **psnr.picture_cost(opened.header, islice(frames, 0, None, args.every))}
    cli.answer(args, cost, psnr.describe_cost(cost))


def _settings(args: argparse.Namespace, kind: type, is_used: bool) -> dict[str, Any]:
    """The flags of a settings class; ValueError where one is given that this pair of IN and OUT would ignore."""
    given = {item.name: vars(args)[item.name] for item in fields(kind)}
    for item in fields(kind):
        if not is_used and given[item.name] != item.default:
            raise ValueError(f"--{item.name} has no effect on {args.source} -> {args.target}; leave it out")
    return given


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", nargs="?", help="y4m, - (stdin), yuv, frame%%3d.bmp, folder or video")
    parser.add_argument("target", metavar="OUT", nargs="?", help="y4m, - (stdout), yuv, frame%%3d.bmp, folder or video")
    parser.add_argument("--report", metavar="CLIP", help="print what an 8-bit RGB round trip costs, per plane, in dB")
    cli.add_flags(parser, Conversion)
    cli.add_flags(parser, Content)
    shards.add_flags(parser, "an IN folder's y4m clips")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _act(args: argparse.Namespace) -> int:
    if args.report:
        if args.source or args.target or args.shard or args.cluster:
            raise cli.UsageError("--report CLIP stands alone; leave the rest out")
        _report(args)
        return 0
    if not args.source or not args.target:
        raise cli.UsageError("expected IN and OUT, or --report CLIP")
    pairs = list_clips(args.source, args.target, bool(args.format or args.planes))
    shards.refuse_one(args, not pairs, "a folder's y4m clips")
    made, told = _convert_clips(args, pairs) if pairs else _convert_one(args)
    (cli.say if args.target == "-" else cli.show)(json.dumps({"out": args.target, **made}) if args.json else told)
    return 0


def _convert_clips(args: argparse.Namespace, pairs: list[tuple[Path, Path]]) -> tuple[dict[str, int], str]:
    """What was made of a folder's clips, in numbers and in words."""
    settings = Conversion(**_settings(args, Conversion, True))
    if args.shard:
        pairs = args.shard.pick(pairs, lambda pair: pair[0].stat().st_size)
    files.protect(*(path for path, _ in pairs), args.audio)
    if args.cluster:
        from youku import cluster

        tasks = [cluster.Task(str(path), path.stat().st_size, (path, target, settings)) for path, target in pairs]
        numbers = cluster.run(args.cluster, tasks, lambda *_: lambda what: convert(*what), cli.say)
    else:
        numbers = list(cli.each(lambda pair: convert(*pair, settings, _watch), pairs))
    told = f"{plural(len(numbers), 'clip')}, {plural(sum(numbers), 'frame')} -> {args.target}"
    return {"clips": len(numbers), "frames": sum(numbers)}, f"shard {args.shard}: {told}" if args.shard else told


def _convert_one(args: argparse.Namespace) -> tuple[dict[str, int], str]:
    """What was made of IN, in numbers and in words."""
    kinds, source = (file_names.kind_of(args.source), file_names.kind_of(args.target)), Path(args.source)
    wanted = _settings(args, Conversion, ClipKind.HDF5 not in kinds)
    content = _settings(args, Content, kinds[1] is ClipKind.HDF5)
    are_pictures = kinds[0] is ClipKind.PICTURES and (source.is_dir() or file_names.is_pattern(source))
    files.protect(*(file_names.find_pictures(args.source) if are_pictures else [args.source]), args.audio)
    files.refuse_input(args.target)
    if ClipKind.HDF5 in kinds:
        number, what = convert_hdf5(args.source, args.target, Content(**content)), "pair"
    else:
        number, what = convert(args.source, args.target, Conversion(**wanted), _watch), "frame"
    return {f"{what}s": number}, f"{plural(number, what)} -> {args.target}"


main = cli.Verb("convert", __doc__, _add_flags, _act, opens_videos=True)

if __name__ == "__main__":
    raise SystemExit(main())
