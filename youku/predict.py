"""Enlarge clips with a network: y4m (or any video) in, y4m out, streaming with bounded memory.

IN is a y4m clip, any video that ffmpeg reads, "-" for y4m on stdin, or a folder of contest clips (Youku_NNNNN_l.y4m);
OUT is a file, "-" for stdout, or a folder. A finished output made with the same weights, options and input is skipped
on a re-run; a broken or outdated one is made again. Without --weights the kit's own FSRCNN enlarges. Whole frames or
tiles give the same picture for local networks.

    python -m youku predict low.y4m high.y4m
    python -m youku predict low.y4m high.y4m --weights runs/demo/best.safetensors
    python -m youku predict data/clips/test runs/demo/predictions --weights runs/demo/best.safetensors --frames scored
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from youku import cli, contest, files
from youku.inference import pipeline, weights
from youku.inference.pipeline import Options
from youku.inference.weights import Network
from youku.models import MODELS
from youku.video import ffmpeg, interpolate, y4m
from youku.video.y4m import Header, Planes


@dataclass(frozen=True)
class Job:
    """One clip to enlarge; `frames` are the wanted source frames, None for all."""

    source: str
    target: str
    frames: range | None


def plan(source: str, target: str, frames: str, test_set: str, scale: int) -> list[Job]:
    """One job a clip; for a folder, named as the contest asks ("scored") or all as whole results ("all")."""
    if not Path(source).is_dir():
        if source != "-" and not Path(source).is_file():
            raise ValueError(f"{source}: no such clip, video or folder; check the path")
        if Path(target).is_dir() or target.endswith("/"):
            target = str(Path(target) / f"{Path(source).stem}_x{scale}.y4m")
        if target != "-" and Path(target).suffix != ".y4m":
            raise ValueError(f"{target}: the output is y4m; name it OUT.y4m, or a folder ending in /, or - for stdout")
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


def predict_clip(network: Network, job: Job, options: Options, progress: bool = True) -> int:
    """Enlarge one clip into its target file; returns the number of frames written."""
    from tqdm import tqdm

    radius = network.spec.num_frames // 2
    with open_clip(job.source, job.frames, whole=radius > 0) as (header, frames, total):
        if header.is_interlaced:
            raise ValueError(
                f"{job.source}: is interlaced; deinterlace it first: "
                f"ffmpeg -i {job.source} -vf bwdif=send_frame -pix_fmt yuv420p OUT.y4m"
            )
        target = interpolate.scaled_header(header, network.scale)
        outputs = pipeline.upscale_frames(network, header, frames, options, job.frames if radius else None)
        bar = tqdm(outputs, Path(job.target).name, total, unit="frame", disable=not progress, file=sys.stderr)
        with y4m.create(job.target, target) as writer:
            for planes in bar:
                writer.write(planes)
            if total is not None and writer.num_frames < total:
                raise _too_short(job.source, job.frames)
        return writer.num_frames


@contextmanager
def open_clip(
    source: str, wanted: range | None, whole: bool = False
) -> Iterator[tuple[Header, Iterable[Planes], int | None]]:
    """(header, chosen frames, their number if known) of a y4m file, a pipe or any video.

    `whole` gives every frame, the wanted ones among their true neighbours: what a multi-frame network needs.
    """
    total, chosen = None if wanted is None else len(wanted), None if whole else wanted
    if source == "-":
        with y4m.open_stream("-") as reader:
            yield reader.header, _choose(reader, chosen, "stdin"), total
    elif _is_y4m(source):
        clip = y4m.Clip(source)
        indices = wanted if wanted is not None else range(clip.num_frames)
        if indices and indices[-1] >= clip.num_frames:
            raise ValueError(f"{source}: has {clip.num_frames} frames, frame {indices[-1]} was asked for")
        yield clip.header, clip if whole else (clip.frame(index) for index in indices), len(indices)
    else:
        with ffmpeg.decode(source) as reader:
            yield reader.header, _choose(reader, chosen, source), total


def predict_all(network: Network, jobs: list[Job], options: Options, key: dict[str, str], force: bool = False) -> int:
    """Run every job that is not up to date; returns how many were run. `key` says what made the outputs."""
    num_run = 0
    for job in jobs:
        if job.target == "-":
            predict_clip(network, job, options)
            continue
        made_by = {**key, **_input_key(job)}
        if not force and _is_up_to_date(job, made_by):
            print(f"{job.target}: up to date", file=sys.stderr)
            continue
        record = _record_path(job)
        files.write_json(record, made_by)  # claimed first: a run that is killed here may be repeated
        try:
            num_frames = predict_clip(network, job, options)
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


def _choose(reader: Iterable[Planes], wanted: range | None, name: str) -> Iterator[Planes]:
    """The wanted frames of a stream that cannot seek."""
    num_found = 0
    for index, planes in enumerate(reader):
        if wanted is None or index in wanted:
            num_found += 1
            yield planes
        if wanted is not None and index == wanted[-1]:
            return
    if wanted is not None and num_found < len(wanted):
        raise _too_short(name, wanted)


def _too_short(name: str, wanted: range | None) -> ValueError:
    last = wanted[-1] if wanted else 0
    return ValueError(f"{'stdin' if name == '-' else name}: ended before frame {last}, which was asked for")


def _is_y4m(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(y4m.MAGIC)) == y4m.MAGIC or Path(path).suffix == ".y4m"


def _is_up_to_date(job: Job, made_by: dict[str, str]) -> bool:
    """True for a finished output of the same key and input; ValueError for a whole clip that is not ours."""
    target, record = Path(job.target), _record_path(job)
    if not target.exists():
        return False
    if record.exists():
        return job.source != "-" and files.read_json(record) == {**made_by, "bytes": target.stat().st_size}
    try:
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
    parser.add_argument("target", metavar="OUT", help="y4m file, folder, or - for stdout")
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


def _run(args: argparse.Namespace) -> int:
    if args.batch < 1 or (args.tile is not None and args.tile < 8):
        raise ValueError(
            f"--batch {args.batch} --tile {args.tile}: expected a batch of 1 or more and tiles of 8 or more"
        )
    if args.test_set and args.frames != "scored":
        raise cli.UsageError("--test-set has no effect without --frames scored")
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
    predict_all(network, jobs, options, settings_key(network, options), args.force)
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _run, argv)


if __name__ == "__main__":
    raise SystemExit(main())
