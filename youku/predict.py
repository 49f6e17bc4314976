"""Enlarge clips with a network: y4m or any video in, y4m or a video out, streaming with bounded memory.

IN is a y4m clip, any video that ffmpeg reads, "-" for y4m on stdin, or a folder of contest clips (Youku_NNNNN_l.y4m);
OUT is a y4m file, a video (.mp4, .mkv, .mov, .webm), "-" for y4m on stdout, or a folder. A finished output made with
the same weights, options and input is skipped on a re-run; a broken or outdated one is made again. Without --weights
the kit's own FSRCNN enlarges. Whole frames or tiles give the same picture for local networks.

A video becomes a video with the same frames at the same times, also where the rate varies; audio, subtitles, chapters,
colour tags, aspect and rotation come along unchanged, and 10 bit stay 10 bit. `--frames FIRST-LAST` cuts them to that
range, which then begins at 0. .mp4 and .mov keep the source's clock exactly, .mkv and .webm round to milliseconds.
--codec x264 (default; vp9 for .webm) or x265 codes the pictures at --crf; ffv1 in .mkv loses nothing.

    python -m youku predict low.y4m high.y4m
    python -m youku predict low.y4m high.y4m --weights runs/demo/best.safetensors
    python -m youku predict old.mp4 new.mp4 --crf 16
    python -m youku predict data/clips/test runs/demo/predictions --weights runs/demo/best.safetensors --frames scored
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

from youku import cli, files
from youku.engines import weights
from youku.inference.clip import VideoOptions, list_jobs, predict_all
from youku.inference.pipeline import Options
from youku.models import MODELS
from youku.video import clips, encoding, recording
from youku.video.clips import ClipKind


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("predict", __doc__)
    parser.add_argument("source", metavar="IN", help="clip, video, folder of contest clips, or - for y4m on stdin")
    parser.add_argument("target", metavar="OUT", help="y4m file, video, folder, or - for stdout")
    parser.add_argument(
        "--weights",
        help="best.safetensors of a run, or published weights (safetensors, .pth); without it, the kit's own FSRCNN",
    )
    parser.add_argument(
        "--model", choices=list(MODELS), help="network, where the weights file does not name it; bicubic"
    )
    parser.add_argument("--scale", type=int, help="factor, where the weights file does not name it (default 4)")
    parser.add_argument("--frames", default="all", help="all (default), scored, N, or FIRST-LAST")
    parser.add_argument("--test-set", help="with --frames scored: split name, val or id range (default round1-test)")
    parser.add_argument("--ensemble", action="store_true", help="average 8 flips and rotations (8 times slower)")
    parser.add_argument(
        "--sharpen",
        type=parse_sharpen,
        metavar="SIGMA,AMOUNT",
        help="unsharp mask on luma, e.g. 1.5,0.5: raises VMAF by lowering PSNR; metric gaming, not quality (default off)",
    )
    parser.add_argument("--tile", type=int, metavar="PX", help="tile side in input pixels (default: from free memory)")
    parser.add_argument("--batch", type=int, default=1, help="frames through the network at once (default 1)")
    parser.add_argument("--half", action="store_true", help="bf16 convolutions: faster on most GPUs and some CPUs")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1, mps")
    cli.add_flags(parser, VideoOptions)
    parser.add_argument(
        "--deinterlace",
        nargs="?",
        const="frame",
        choices=list(recording.DEINTERLACE),
        help="make interlaced pictures whole first (bwdif): one for each frame (default) or each field",
    )
    parser.add_argument("--no-audio", action="store_true", help="leave the audio out of a video output")
    parser.add_argument("--no-subtitles", action="store_true", help="leave the subtitles out of a video output")
    parser.add_argument("--force", action="store_true", help="make outputs again even where they are up to date")
    return parser


def parse_sharpen(text: str) -> tuple[float, float]:
    """Parse "SIGMA,AMOUNT"."""
    try:
        sigma_px, amount = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected SIGMA,AMOUNT such as 1.5,0.5, got {text!r}") from None
    if not (0 < sigma_px <= 20 and -5 <= amount <= 5):
        raise argparse.ArgumentTypeError(f"sigma must be in (0, 20] and amount in [-5, 5], got {text!r}")
    return sigma_px, amount


def _video_options(args: argparse.Namespace) -> VideoOptions:
    """The flags of a video output; each is an error where it has no effect."""
    coding = [flag for flag, given in (("--codec", args.codec), ("--crf", args.crf)) if given is not None]
    dropping = [flag for flag, given in (("--no-audio", args.no_audio), ("--no-subtitles", args.no_subtitles)) if given]
    if not encoding.is_video(args.target) and (coding or dropping):
        raise cli.UsageError(f"{(coding + dropping)[0]} has no effect on y4m output; name OUT{encoding.SUFFIXES[0]}")
    if dropping and clips.kind_of_source(args.source) in (ClipKind.Y4M, ClipKind.STREAM):
        raise cli.UsageError(f"{dropping[0]} has no effect on y4m input, which holds pictures only")
    options = VideoOptions(codec=args.codec, crf=args.crf, audio=not args.no_audio, subtitles=not args.no_subtitles)
    if encoding.is_video(args.target):
        encoding.default_encoding(args.target, options.codec, options.crf)
    return options


def _run(args: argparse.Namespace) -> int:
    if args.batch < 1 or (args.tile is not None and args.tile < 8):
        raise ValueError(
            f"--batch {args.batch} --tile {args.tile}: expected a batch of 1 or more and tiles of 8 or more"
        )
    if args.test_set and args.frames != "scored":
        raise cli.UsageError("--test-set has no effect without --frames scored")
    video = _video_options(args)
    network = weights.load(args.weights, args.model, args.scale, weights.pick_device(args.device), args.half)
    if not network.spec.trainable and (args.tile or args.batch > 1 or args.half):
        raise ValueError(f"--tile, --batch and --half have no effect on {network.spec.name}; drop them")
    if args.tile and not network.spec.local:
        raise ValueError(
            f"--tile {args.tile}: {network.spec.name} looks at the whole picture, so tiles would change its output; drop --tile"
        )
    options = Options(ensemble=args.ensemble, sharpen=args.sharpen, tile_px=args.tile, batch=args.batch)
    jobs = list_jobs(args.source, args.target, args.frames, args.test_set or "round1-test", network.scale)
    if args.deinterlace and args.source == "-":
        raise cli.UsageError("--deinterlace reads files alone, not stdin; save the clip first")
    jobs = [replace(job, deinterlace=args.deinterlace) for job in jobs]
    files.protect(args.weights, *(job.source for job in jobs))
    for job in jobs:
        files.refuse_input(job.target)
    own = "" if args.weights or not network.path else " with the kit's own weights (youku/weights; --weights for yours)"
    cli.say(f"{network.spec.name} x{network.scale}{own} on {network.device}: {len(jobs)} clip(s)")
    predict_all(network, jobs, options, force=args.force, video=video, watch=cli.watch, tell=cli.say)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
