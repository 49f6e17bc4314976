"""Score the shipped bytes of a zip or folder against the ground truth, beside a bicubic row on the same frames.

ZIP_OR_FOLDER, LR clips, GT clips -> a table, score.json and score.csv next to the zip (or --out). One pass over each
clip, frames streamed: PSNR under every convention of `contest`, SSIM of luma, VMAF and VMAF-NEG; then
score = 0.8 PSNR + 0.2 VMAF. An exact match is inf dB, and so is every mean that contains one. `--artefacts` adds
flicker between frames, overshoot beside edges and colour shift, which none of these figures shows.

    python -m youku score submissions/fsrcnn/fsrcnn.zip --low data/clips/val --high data/clips/val --test-set val
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import youku
from youku import cli, contest
from youku.contest import TestSet
from youku.exchange.scorefile import plain, write_score
from youku.exchange.submission import Submission, open_submission
from youku.exchange.totals import SYSTEMS, Frames, Protocol, clip_values, format_table, measure_frame, totals_of
from youku.metrics import artefacts, vmaf
from youku.metrics.artefacts import Artefacts, Gauge
from youku.video import interpolate, y4m
from youku.video.y4m import Header

MAX_JOBS = 4  # clips measured at once; each holds about 20 frames


@dataclass(frozen=True)
class _Job:
    """One clip to score: its files and the source frames that were shipped."""

    clip_id: int
    whole: bool
    name: str
    low: y4m.Clip
    high: y4m.Clip
    frames: range


def score_submission(
    path: str | Path,
    low: str | Path,
    high: str | Path,
    test_set: TestSet,
    protocol: Protocol | None = None,
    name: str | None = None,
    with_vmaf: bool = True,
    jobs: int | None = None,
    progress: bool = False,
    with_artefacts: bool = False,
) -> dict[str, Any]:
    """Score a zip or folder of results; returns the content of score.json. ValueError where inputs do not fit together.

    `low` and `high` are folders of LR and GT clips; `jobs` clips are measured at once (default: from the CPU count).
    """
    from tqdm import tqdm

    protocol = protocol or Protocol()
    submission = open_submission(path)
    work = _plan(submission, test_set, Path(low), Path(high))
    if with_vmaf:
        vmaf.require()
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    versions: set[str] = set()
    model = protocol.vmaf_model if with_vmaf else None
    with (
        tqdm(
            total=sum(len(job.frames) for job in work), unit="frame", desc="score", disable=not progress, leave=False
        ) as bar,
        _torch_threads(threads // 2),
        ThreadPoolExecutor(jobs) as pool,
    ):
        futures = [
            pool.submit(_measure, submission, job, model, threads, versions, bar.update, with_artefacts) for job in work
        ]
        try:
            measured = [future.result() for future in futures]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    clips = [(job, both) for job, (both, _) in zip(work, measured, strict=True)]
    found = [marks for _, marks in measured]
    score = {
        "name": name or _name(submission.path),
        "test_set": f"{test_set.first}-{test_set.last}",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "protocol": asdict(protocol),
        "tools": _tools(versions),
        "paths": {"submission": str(path), "low": str(low), "high": str(high)},
        "totals": {
            system: totals_of([(job.whole, both[system]) for job, both in clips], protocol) for system in SYSTEMS
        },
        "clips": [_clip_row(job, both, protocol) for job, both in clips],
    }
    return _add_artefacts(score, found) if with_artefacts else score


def _add_artefacts(score: dict[str, Any], found: Sequence[dict[str, Artefacts]]) -> dict[str, Any]:
    """The score with an entry of totals and one in every clip, each by system."""
    clips = [
        {**clip, "artefacts": {system: asdict(marks[system]) for system in SYSTEMS}}
        for clip, marks in zip(score["clips"], found, strict=True)
    ]
    totals = {system: artefacts.totals([marks[system] for marks in found]) for system in SYSTEMS}
    return {**score, "artefacts": totals, "clips": clips}


@contextmanager
def _torch_threads(num_threads: int) -> Iterator[None]:
    """Limit torch meanwhile: its waiting threads take the cores libvmaf needs (2 cores: 68 s of CPU time against 27)."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, num_threads))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _plan(submission: Submission, test_set: TestSet, low: Path, high: Path) -> list[_Job]:
    """Open every clip of the test set and compare counts and sizes before anything is measured."""
    missing = []
    for clip_id in test_set.ids:
        if test_set.name(clip_id) not in submission.members or test_set.name(clip_id) in submission.unreadable:
            missing.append(f"{test_set.name(clip_id)} in {submission.path}")
        wanted = ((low, contest.low_name(clip_id)), (high, contest.high_name(clip_id)))
        missing += [f"{name} in {folder}" for folder, name in wanted if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise ValueError(
            f"test set {test_set.first}-{test_set.last}: cannot find {', '.join(missing[:4])}{more}; "
            "check the folders, or narrow --test-set"
        )
    work = []
    for clip_id in test_set.ids:
        low_clip, high_clip = y4m.Clip(low / contest.low_name(clip_id)), y4m.Clip(high / contest.high_name(clip_id))
        target = interpolate.scaled_header(low_clip.header, contest.SCALE)
        if (high_clip.header.plane_shapes, high_clip.header.depth) != (target.plane_shapes, target.depth):
            raise ValueError(
                f"{high_clip.path}: {_form(high_clip.header)}, expected {_form(target)}, "
                f"{contest.SCALE} times its LR clip; fetch the pair again"
            )
        if high_clip.num_frames != low_clip.num_frames:
            raise ValueError(
                f"{high_clip.path}: {high_clip.num_frames} frames, its LR clip has {low_clip.num_frames}; "
                "fetch the pair again"
            )
        frames = test_set.frames(clip_id, low_clip.num_frames)
        work.append(_Job(clip_id, test_set.is_whole(clip_id), test_set.name(clip_id), low_clip, high_clip, frames))
    return work


def _measure(
    submission: Submission,
    job: _Job,
    model: str | None,
    threads: int,
    versions: set[str],
    on_frame: Callable[[], object],
    with_artefacts: bool,
) -> tuple[dict[str, Frames], dict[str, Artefacts]]:
    """Stream one clip once and measure both systems on each of its frames; artefacts only where wanted."""
    header, rows = job.high.header, {system: Frames() for system in SYSTEMS}
    gauges = {system: Gauge(header.depth) for system in SYSTEMS if with_artefacts}
    with submission.open(job.name) as reader, ExitStack() as stack:
        _check_shape(reader.header, header, job.name)
        meters = {
            system: stack.enter_context(vmaf.Meter(header, header, model, threads)) for system in SYSTEMS if model
        }
        num_frames = 0
        for pred in reader:
            if num_frames < len(job.frames):
                index = job.frames[num_frames]
                high = job.high.frame(index)
                low = interpolate.upscale(job.low.frame(index), job.low.header, contest.SCALE)
                measure_frame({"submission": pred, "bicubic": low}, high, header, rows)
                for system, planes in (("submission", pred), ("bicubic", low)):
                    if meters:
                        meters[system].add(planes, high)
                    if gauges:
                        gauges[system].add(index, planes, high)
                on_frame()
            num_frames += 1
        if num_frames != len(job.frames):
            raise ValueError(
                f"{job.name}: {num_frames} frames, expected {len(job.frames)} of its GT clip's {job.high.num_frames}; "
                "check the submission: python -m youku submit --check"
            )
        for system, meter in meters.items():
            result = meter.result()
            rows[system].vmaf.extend(result.vmaf)
            rows[system].vmaf_neg.extend(result.neg)
            versions.add(result.version)
    return rows, {system: gauge.result() for system, gauge in gauges.items()}


def _check_shape(got: Header, wanted: Header, name: str) -> None:
    if (got.plane_shapes, got.depth) != (wanted.plane_shapes, wanted.depth):
        raise ValueError(
            f"{name}: {_form(got)}, its GT clip is {_form(wanted)}; "
            "check the submission: python -m youku submit --check"
        )


def _form(header: Header) -> str:
    return f"{header.width}x{header.height} C{header.chroma}"


def _clip_row(job: _Job, both: dict[str, Frames], protocol: Protocol) -> dict[str, Any]:
    return {
        "id": job.clip_id,
        "file": job.name,
        "low": job.low.path.name,
        "high": job.high.path.name,
        "whole": job.whole,
        "frames": list(job.frames),
        "width": job.high.header.width,
        "height": job.high.header.height,
        **{system: clip_values(both[system], protocol) for system in SYSTEMS},
    }


def _tools(versions: set[str]) -> dict[str, str | None]:
    import torch

    from youku.video import ffmpeg

    return {
        "ffmpeg": ffmpeg.version(),
        "libvmaf": ", ".join(sorted(versions)) or None,
        "youku": youku.__version__,
        "torch": str(torch.__version__),
    }


def _name(path: Path) -> str:
    """A submission is called after its zip, or its folder (a run's `predictions` after the run)."""
    path = path.absolute()
    return path.parent.name if path.name == "predictions" else path.name.removesuffix(".zip")


def make_parser() -> argparse.ArgumentParser:
    parser = cli.make_parser("score", __doc__)
    parser.add_argument("submission", metavar="ZIP_OR_FOLDER", help="what was shipped, or a folder of the same files")
    parser.add_argument("--low", required=True, help="folder of the low-resolution clips")
    parser.add_argument("--high", required=True, help="folder of the ground truth clips")
    parser.add_argument("--test-set", required=True, help="val (150-199), a split's name, or an id range like 150-159")
    default = Protocol()
    parser.add_argument(
        "--psnr-planes", choices=contest.PSNR_PLANES, default=default.psnr_planes, help="samples in the MSE"
    )
    parser.add_argument(
        "--psnr-pool", choices=contest.PSNR_POOLS, default=default.psnr_pool, help="mean by clip or by frame"
    )
    parser.add_argument(
        "--vmaf-clips", choices=contest.VMAF_CLIPS, default=default.vmaf_clips, help="full = whole clips only"
    )
    parser.add_argument("--vmaf-model", choices=tuple(vmaf.MODELS), default=default.vmaf_model, help="libvmaf model")
    parser.add_argument("--vmaf-pool", choices=vmaf.POOLS, default=default.vmaf_pool, help="mean over a clip's frames")
    parser.add_argument("--no-vmaf", action="store_true", help="PSNR and SSIM only: quicker, and no final score")
    parser.add_argument("--artefacts", action="store_true", help="measure flicker, overshoot and colour shift as well")
    parser.add_argument("--jobs", type=int, help="clips measured at once (default: from the CPU count)")
    parser.add_argument("--name", help="name of the row (default: the zip's)")
    parser.add_argument("--out", help="folder of score.json and score.csv (default: where the zip or folder lies)")
    parser.add_argument("--json", action="store_true", help="print score.json instead of the table")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    return cli.run(make_parser(), _score, argv)


def _score(args: argparse.Namespace) -> int:
    if args.jobs is not None and args.jobs < 1:
        raise ValueError(f"--jobs {args.jobs}: expected 1 or more")
    protocol = Protocol(
        psnr_planes=args.psnr_planes,
        psnr_pool=args.psnr_pool,
        vmaf_clips=args.vmaf_clips,
        vmaf_model=args.vmaf_model,
        vmaf_pool=args.vmaf_pool,
    )
    test_set = contest.test_set(args.test_set)
    score = score_submission(
        args.submission, args.low, args.high, test_set, protocol, args.name, not args.no_vmaf, args.jobs,
        progress=True, with_artefacts=args.artefacts,
    )  # fmt: skip
    written = write_score(score, args.out or Path(args.submission).absolute().parent)
    if args.json:
        print(json.dumps(plain(score), indent=2))
    else:
        print(format_table(score))
        if args.artefacts:
            print("\n" + artefacts.format_table(score))
        print("\n" + "\n".join(map(str, written)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
