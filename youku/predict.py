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
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from youku import cli, contest, files
from youku.engines import weights
from youku.engines.network import Network
from youku.inference import pipeline
from youku.inference.pipeline import Options
from youku.models import MODELS
from youku.video import clips, container, interpolate, timeline, y4m
from youku.video.container import Encoding
from youku.video.timeline import Stream, Timeline
from youku.video.y4m import Header


@dataclass(frozen=True)
class Job:
    """One clip to enlarge; `frames` are the wanted source frames, None for all."""

    source: str
    target: str
    frames: range | None


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How an output that is not y4m is coded and what goes along."""

    codec: str | None = None
    """One of container.CODECS; None for the container's usual one."""
    crf: int | None = None
    """Constant rate factor; None for the codec's default."""
    audio: bool = True
    subtitles: bool = True


def plan(source: str, target: str, frames: str, test_set: str, scale: int) -> list[Job]:
    """One job a clip; for a folder, named as the contest asks ("scored") or all as whole results ("all")."""
    if not Path(source).is_dir():
        if source != "-" and not Path(source).is_file():
            raise ValueError(f"{source}: no such clip, video or folder; check the path")
        if Path(target).is_dir() or target.endswith("/"):
            target = str(Path(target) / f"{Path(source).stem}_x{scale}.y4m")
        if target != "-" and Path(target).suffix != ".y4m" and not container.is_video(target):
            raise ValueError(
                f"{target}: expected OUT{', OUT'.join(('.y4m', *container.SUFFIXES))}, a folder ending in /, or - for stdout"
            )
        if frames == "scored" and container.is_video(target):
            raise ValueError(f"{target}: --frames scored makes contest clips; name OUT.y4m")
        known = contest.parse_name(Path(source).name)
        return [Job(source, target, _wanted(frames, test_set, known[0] if known else None, source))]
    if target == "-" or Path(target).is_file():
        raise ValueError(f"{target}: {source} is a folder, so the output must be a folder too")
    clips = [(name[0], path) for path in sorted(Path(source).iterdir()) if (name := contest.parse_name(path.name))]
    clips = [(clip_id, path) for clip_id, path in clips if path.name == contest.low_name(clip_id)]
    if frames == "scored":
        ids = contest.test_set(test_set).ids
        clips = [(clip_id, path) for clip_id, path in clips if clip_id in ids]
    if not clips:
        raise ValueError(f"{source}: expected clips named {contest.low_name(0)}, found none to predict")
    jobs = []
    for clip_id, path in clips:
        result = contest.test_set(test_set).name(clip_id) if frames == "scored" else contest.result_name(clip_id, True)
        jobs.append(Job(str(path), str(Path(target) / result), _wanted(frames, test_set, clip_id, str(path))))
    return jobs


def predict_clip(
    network: Network, job: Job, options: Options, progress: bool = True, video: VideoOptions | None = None
) -> int:
    """Enlarge one clip into its target file; returns the number of frames written."""
    from tqdm import tqdm

    needs_neighbours, to_video = network.spec.needs_neighbours, container.is_video(job.target)
    with clips.open_clip(job.source, job.frames, needs_neighbours, upright=not to_video) as (header, frames, total):
        if header.is_interlaced:
            raise timeline.interlaced(
                job.source, "OUT.y4m" if job.source == "-" or clips.is_y4m(job.source) else "OUT.mkv"
            )
        if to_video:
            encoding, times, streams = _surroundings(job, header, network.scale, video or VideoOptions())
            header = timeline.sited(header, times)
        target = interpolate.scaled_header(header, network.scale)
        make = (
            container.create(job.target, target, times, encoding, streams)
            if to_video
            else y4m.create(job.target, target)
        )
        with make as writer:
            outputs = pipeline.upscale_frames(
                network, header, frames, options, job.frames if needs_neighbours else None
            )
            bar = tqdm(outputs, Path(job.target).name, total, unit="frame", disable=not progress, file=sys.stderr)
            for planes in bar:
                writer.write(planes)
            if total is not None and writer.num_frames < total:
                raise clips.too_short(job.source, job.frames)
        return writer.num_frames


def _surroundings(
    job: Job, header: Header, scale: int, video: VideoOptions
) -> tuple[Encoding, Timeline, tuple[Stream, ...]]:
    """How to code a video output, and what it keeps of the source; all that may be refused is, before the work."""
    encoding = container.default_encoding(job.target, video.codec, video.crf)
    container.check(interpolate.scaled_header(header, scale), job.target, encoding)
    if job.source == "-" or clips.is_y4m(job.source):
        return encoding, timeline.of_clip(header), ()
    streams = container.carried(job.source, job.target, video.audio, video.subtitles)
    along = ", ".join(f"{stream.kind.lower()} ({stream.codec})" for stream in streams) or "nothing else"
    print(f"{job.source}: reading the times of its frames; going along: {along}", file=sys.stderr)
    return encoding, timeline.scan(job.source, job.frames), streams


def predict_all(
    network: Network,
    jobs: list[Job],
    options: Options,
    key: dict[str, str],
    force: bool = False,
    video: VideoOptions | None = None,
) -> int:
    """Run every job that is not up to date; returns how many were run. `key` says what made the outputs."""
    num_run = 0
    for job in jobs:
        if job.target == "-":
            predict_clip(network, job, options)
            continue
        made_by = {**key, **_input_key(job), **({"video": str(video)} if container.is_video(job.target) else {})}
        if not force and _is_up_to_date(job, made_by):
            print(f"{job.target}: up to date", file=sys.stderr)
            continue
        record = _record_path(job)
        files.write_json(record, made_by)  # claimed first: a run that is killed here may be repeated
        try:
            num_frames = predict_clip(network, job, options, video=video)
        except BaseException:
            if not Path(job.target).exists():
                record.unlink()
            raise
        files.write_json(record, {**made_by, "bytes": Path(job.target).stat().st_size})
        print(f"{job.target}: {num_frames} frames", file=sys.stderr)
        num_run += 1
    return num_run


def settings_key(network: Network, options: Options) -> dict[str, str]:
    """What an output depends on besides its input clip."""
    return {
        "model": f"{network.spec.name} x{network.scale}",
        "weights": files.sha256(network.path) if network.path else "none",
        "half": str(network.half),
        "ensemble": str(options.ensemble),
        "sharpen": str(options.sharpen),
    }


def _wanted(frames: str, test_set: str, clip_id: int | None, source: str) -> range | None:
    """Frame indices for "all" (None), "scored", "N" or "FIRST-LAST"."""
    if frames == "all":
        return None
    if frames == "scored":
        ids = contest.test_set(test_set)
        if clip_id is None or clip_id not in ids.ids:
            raise ValueError(f"{source}: --frames scored needs a contest clip of {test_set}; use --frames all")
        return ids.frames(clip_id, y4m.Clip(source).num_frames)
    first, _, last = frames.partition("-")
    if not first.isdigit() or (last and not last.isdigit()) or int(last or first) < int(first):
        raise ValueError(f"--frames {frames}: expected all, scored, a frame number, or FIRST-LAST")
    return range(int(first), int(last or first) + 1)


def _is_up_to_date(job: Job, made_by: dict[str, str]) -> bool:
    """True for a finished output of the same key and input; ValueError for a whole clip that is not ours."""
    target, record = Path(job.target), _record_path(job)
    if not target.exists():
        return False
    if record.exists():
        return job.source != "-" and files.read_json(record) == {**made_by, "bytes": target.stat().st_size}
    try:
        if not container.is_video(target):
            y4m.Clip(target)
    except y4m.Y4MError:
        return False  # broken: make it again
    raise ValueError(f"{target}: exists and was not made here; use --force to replace it")


def _record_path(job: Job) -> Path:
    """Hidden file beside an output: what made it, and its size once finished."""
    target = Path(job.target)
    return target.with_name(f".{target.name}.json")


def _input_key(job: Job) -> dict[str, str]:
    if job.source == "-":
        return {"input": "stdin"}
    state = Path(job.source).stat()
    frames = "all" if job.frames is None else f"{job.frames}"
    return {"input": str(Path(job.source).absolute()), "size": f"{state.st_size} {state.st_mtime_ns}", "frames": frames}


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
    parser.add_argument("--codec", choices=container.CODECS, help="of a video output (default x264; vp9 for .webm)")
    parser.add_argument(
        "--crf",
        type=int,
        help="quality of a video output, smaller is better and larger (default x264 18, x265 20, vp9 24)",
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
    if not container.is_video(args.target) and (coding or dropping):
        raise cli.UsageError(f"{(coding + dropping)[0]} has no effect on y4m output; name OUT{container.SUFFIXES[0]}")
    if dropping and (args.source == "-" or (Path(args.source).is_file() and clips.is_y4m(args.source))):
        raise cli.UsageError(f"{dropping[0]} has no effect on y4m input, which holds pictures only")
    options = VideoOptions(codec=args.codec, crf=args.crf, audio=not args.no_audio, subtitles=not args.no_subtitles)
    if container.is_video(args.target):
        container.default_encoding(args.target, options.codec, options.crf)
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
    jobs = plan(args.source, args.target, args.frames, args.test_set or "round1-test", network.scale)
    if any(Path(job.target).absolute() == Path(job.source).absolute() for job in jobs if job.target != "-"):
        raise ValueError(f"{args.target}: is the input itself; choose another output name")
    own = "" if args.weights or not network.path else " with the kit's own weights (youku/weights; --weights for yours)"
    print(f"{network.spec.name} x{network.scale}{own} on {network.device}: {len(jobs)} clip(s)", file=sys.stderr)
    predict_all(network, jobs, options, settings_key(network, options), args.force, video)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
