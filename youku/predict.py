"""Enlarge clips with a network: y4m or any video in, y4m or a video out, streaming with bounded memory; pictures too.

IN is a y4m clip, any video that ffmpeg reads, "-" for y4m on stdin, or a folder: of the contest (Youku_NNNNN_l.y4m), or
of any clips and videos; OUT is a y4m file, a video (.mp4, .mkv, .mov, .webm), numbered pictures (out/%06d.png, .bmp), "-"
for y4m on stdout, or a folder. A picture, a folder of pictures or frame%3d.png become pictures, RGB in and out, as
`evaluate` makes them; those of a clip are what `convert OUT.y4m out/%06d.png --route float` makes of its y4m. A finished
output made with the same weights, options and input is skipped on a re-run; a broken or outdated one is made again.
Of a folder what is damaged is named, all else is made, and the exit status is 1.
Without --weights the kit's own networks enlarge: --quality fast (FSRCNN), balanced (pairs-s, the default) or best
(pairs-m, x4 alone); --input video takes those trained on compressed video, clean those trained on pictures, auto
(default): clean for pictures, video for all else, which mostly was coded before. Several --weights: the mean of their
outputs, before it is rounded. Whole frames or tiles give the same picture for local networks.
--size 3840x2160 and --scale 1.5 reach any size by the network and then bicubic, aspect kept.

A run that is stopped, by Ctrl-C, SIGKILL or a power cut, keeps what it finished in a hidden folder beside OUT: a y4m
second by second, a video in segments of 48 frames, pictures one by one. The same command goes on from there to the same
frames; pipes do not.

A video becomes a video with the same frames at the same times, also where the rate varies; audio, subtitles, chapters,
colour tags, aspect and rotation come along unchanged, and 10 bit stay 10 bit. `--frames FIRST-LAST` cuts them to that
range, which then begins at 0. .mp4 and .mov keep the source's clock exactly, .mkv and .webm round to milliseconds.
--codec x264 (default; vp9 for .webm) or x265 codes the pictures at --crf; ffv1 in .mkv loses nothing.

    python -m youku predict low.y4m high.y4m --weights runs/demo/best.safetensors
    python -m youku predict old.mp4 new.mp4 --crf 16
    python -m youku predict photos/ large/
    python -m youku predict data/clips/test runs/demo/predictions --weights runs/demo/best.safetensors --frames scored
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from youku import cli, files, shards
from youku.engines import choice, half, mean
from youku.engines.network import Network
from youku.inference.job_list import list_jobs
from youku.inference.jobs import VideoOptions, choose_weights, parse_sharpen, size_and_scale, video_options
from youku.models import MODELS
from youku.text_table import plural
from youku.video import ffmpeg


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="IN", help="clip, video, picture, folder of them, or - for y4m on stdin")
    add("target", metavar="OUT", help="y4m file, video, out/%%06d.png, folder, or - for stdout")
    choice.add_weights(parser)
    add("--model", choices=MODELS, metavar="NAME", help="network, where the weights file does not name it; bicubic")
    add("--scale", help="factor, where the weights file does not name it (default 4); or any, as 1.5")
    add("--size", metavar="WxH", help="as large as fits in WxH, by the network and then bicubic")
    add("--frames", default="all", help="all (default), scored, N (that frame alone, from 0), or FIRST-LAST")
    add("--test-set", help="with --frames scored: split name, val (the clips of IN) or ids (default round1-test)")
    add("--ensemble", action="store_true", help="average 8 flips and rotations (8 times slower)")
    text = "unsharp mask on luma, e.g. 1.5,0.5: raises VMAF and VMAF NEG, lowers PSNR; metric gaming (default off)"
    add("--sharpen", type=parse_sharpen, metavar="SIGMA,AMOUNT", help=text)
    add("--tile", type=int, metavar="PX", help="tile side in input pixels (default: from free memory)")
    add("--batch", type=int, default=1, help="frames through the network at once (default 1)")
    add("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    half.add_flag(parser, is_picked=True)
    choice.add_flag(parser)
    cli.add_flags(parser, VideoOptions)
    text = "make interlaced pictures whole first (bwdif): each frame marked as interlaced (the default, frame), two of "
    text += "every frame (field), or every frame, marked or not (all)"
    add("--deinterlace", nargs="?", const="frame", choices=list(ffmpeg.DEINTERLACE), help=text)
    add("--no-audio", action="store_true", help="leave the audio out of a video output")
    add("--no-subtitles", action="store_true", help="leave the subtitles out of a video output")
    add("--force", action="store_true", help="make outputs again even where they are up to date")
    shards.add_flags(parser, "a folder's clips", " or a film's parts")


def _check_options(args: argparse.Namespace, network: Network) -> None:
    """ValueError for what would have no effect on the network, or another than meant."""
    if not network.spec.trainable and (args.tile or args.batch > 1 or args.dtype not in (None, half.FLOAT32)):
        raise ValueError(f"--tile, --batch and --dtype have no effect on {network.spec.name}; drop them")
    if args.tile and not network.spec.local:
        whole = f"{network.spec.name} looks at the whole picture, so tiles would change its output"
        raise ValueError(f"--tile {args.tile}: {whole}; drop --tile")


def _run(args: argparse.Namespace) -> int:
    from youku.inference import clip
    from youku.inference.pipeline import Options

    if args.batch < 1 or (args.tile is not None and args.tile < 8):
        raise ValueError(f"--batch {args.batch} --tile {args.tile}: expected a batch of 1 and tiles of 8, or more")
    if args.test_set and args.frames != "scored":
        raise cli.UsageError("--test-set has no effect without --frames scored")
    if args.cluster and "-" in (args.source, args.target):
        raise cli.UsageError("--cluster reads and writes files alone, no pipe; name IN and OUT")
    shards.refuse_one(args, bool(args.shard) and not Path(args.source).is_dir(), "a folder's clips")
    if args.deinterlace and args.source == "-":
        raise cli.UsageError("--deinterlace reads files alone, not stdin; save the clip first")
    video = video_options(args.source, args.target, args.codec, args.crf, args.no_audio, args.no_subtitles)
    size, scale = size_and_scale(args.source, args.size, args.scale, args.frames, bool(args.weights))
    file, own = choose_weights(args.source, bool(args.weights), args.model, scale, args.quality, args.input)
    load = partial(mean.load, args.weights or [file], args.model, scale, args.device, args.dtype)
    network = load([args.engine], cli.say)
    _check_options(args, network)
    options = Options(ensemble=args.ensemble, sharpen=args.sharpen, tile_px=args.tile, batch=args.batch)
    label, test_set = args.size or f"x{args.scale or network.scale}", args.test_set or "round1-test"
    jobs = list_jobs(args.source, args.target, args.frames, test_set, label)
    jobs = [replace(job, deinterlace=args.deinterlace, size=size) for job in jobs]
    kind = "picture" if any(job.is_picture for job in jobs) else "clip"
    told = f"{plural(len(jobs), kind)} by {network.spec.name} x{network.scale} on {network.device}"
    if args.shard:
        told = f"shard {args.shard}: {len(jobs := args.shard.pick(jobs, lambda job: job.work_bytes))} of {told}"
    files.protect(*network.paths, *(job.source for job in jobs))
    files.refuse_input(*(job.target for job in jobs))
    if args.weights and any(Path(name).is_dir() for name in args.weights):
        own = f"; {', '.join(map(str, network.paths))}"
    cli.say(told + own)
    anew = args.force or args.allow_playlists  # whose files may have changed
    how: dict[str, Any] = {"force": anew, "video": video, "watch": cli.watch, "tell": cli.say, "each": cli.each}
    if args.cluster:
        from youku.inference import beside

        beside.predict_all(args.cluster, load, args.engine, network, jobs, options, args.device, **how)
    else:
        clip.predict_all(network, jobs, options, **how)
    return 0


main = cli.Verb("predict", __doc__, _add_flags, _run, opens_videos=True)

if __name__ == "__main__":
    raise SystemExit(main())
