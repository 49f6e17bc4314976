"""Score the shipped bytes of a zip or folder against the ground truth, beside bicubic on the same frames.

Submission, LR clips, GT clips -> the content of score.json. One pass over each clip, frames streamed; the figures are
those of `totals`. Every count and size is compared before anything is measured.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import youku
from youku import cli, contest, stops
from youku.contest import TestSet
from youku.exchange import totals
from youku.exchange.submission import Submission, open_submission
from youku.exchange.totals import SYSTEMS, FrameValues, Reading
from youku.metrics import vmaf
from youku.metrics.artefacts import Artefacts, Gauge
from youku.video import ffmpeg, interpolate, y4m
from youku.video.y4m import Header

MAX_JOBS = 4  # clips measured at once; each holds about 20 frames
CHECK_IT = "check the submission: python -m youku submit --check"


@dataclass(frozen=True)
class ScoredClip:
    """One clip to score: its files and the source frames that were shipped."""

    clip_id: int
    whole: bool
    name: str
    low: y4m.Clip
    high: y4m.Clip
    frames: range


@dataclass(frozen=True)
class Measured:
    """What one pass over a clip gave, by system; `versions` of libvmaf."""

    values: dict[str, FrameValues] = field(default_factory=lambda: {system: FrameValues() for system in SYSTEMS})
    artefacts: dict[str, Artefacts] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)


def score_submission(
    path: str | Path,
    low: str | Path,
    high: str | Path,
    test_set: TestSet,
    reading: Reading | None = None,
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

    reading = reading or Reading()
    submission = open_submission(path)
    clips = _pair_up(submission, test_set, Path(low), Path(high))
    if with_vmaf:
        vmaf.require()
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    num_frames = sum(len(clip.frames) for clip in clips)
    with (
        tqdm(total=num_frames, unit="frame", desc="score", disable=not progress, leave=False) as bar,
        _torch_threads(threads // 2),
        stops.workers(jobs) as (pool, stop),
    ):
        model = reading.vmaf_model if with_vmaf else None
        measure = partial(_measure, submission, model, threads, with_artefacts)
        measured = _measure_all(pool, stop, measure, clips, bar)
    pairs = list(zip(clips, measured, strict=True))
    score = {
        "name": name or _name(submission.path),
        "test_set": str(test_set),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "protocol": asdict(reading),
        "tools": _tools(set().union(*(one.versions for one in measured))),
        "paths": {"submission": str(path), "low": str(low), "high": str(high)},
        "totals": {
            system: totals.totals_of([(clip.whole, one.values[system]) for clip, one in pairs], reading)
            for system in SYSTEMS
        },
        "clips": [_clip_row(clip, one, reading) for clip, one in pairs],
    }
    if with_artefacts:
        score["artefacts"] = {
            system: totals.artefact_totals([one.artefacts[system] for one in measured]) for system in SYSTEMS
        }
    return score


def _measure_all(
    pool: Any, stop: Event, measure: Callable[..., Measured], clips: list[ScoredClip], bar: Any
) -> list[Measured]:
    """Measure clips side by side; the first error ends the others at their next frame.

    The bar is moved by this thread alone: one that is stopped inside tqdm keeps the lock that all would wait for.
    """
    done: list[int] = []

    def count_frame(index: int) -> None:
        if stop.is_set():
            raise CancelledError
        done.append(index)

    futures = [pool.submit(measure, count_frame, clip) for clip in clips]
    return stops.results(futures, lambda: bar.update(len(done) - bar.n))


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


def _pair_up(submission: Submission, test_set: TestSet, low: Path, high: Path) -> list[ScoredClip]:
    """Open every clip of the test set and compare counts and sizes before anything is measured."""
    missing = []
    for clip_id in test_set.ids:
        if test_set.name(clip_id) not in submission.members or test_set.name(clip_id) in submission.wrong:
            missing.append(f"{test_set.name(clip_id)} in {submission.path}")
        wanted = ((low, contest.low_name(clip_id)), (high, contest.high_name(clip_id)))
        missing += [f"{name} in {folder}" for folder, name in wanted if not (folder / name).is_file()]
    if missing:
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise ValueError(
            f"test set {test_set}: cannot find {', '.join(missing[:4])}{more}; check the folders, or narrow --test-set"
        )
    clips = []
    for clip_id in test_set.ids:
        low_clip, high_clip = y4m.Clip(low / contest.low_name(clip_id)), y4m.Clip(high / contest.high_name(clip_id))
        target = interpolate.scaled_header(low_clip.header, contest.SCALE)
        if not _alike(high_clip.header, target):
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
        clips.append(
            ScoredClip(clip_id, test_set.is_whole(clip_id), test_set.name(clip_id), low_clip, high_clip, frames)
        )
    return clips


def _measure(
    submission: Submission,
    vmaf_model: str | None,
    threads: int,
    with_artefacts: bool,
    on_frame: Callable[[int], object],
    clip: ScoredClip,
) -> Measured:
    """Stream one clip once and measure both systems on each of its frames; artefacts only where wanted."""
    header, measured = clip.high.header, Measured()
    gauges = {system: Gauge(header.depth) for system in SYSTEMS if with_artefacts}
    with submission.open(clip.name) as reader, ExitStack() as stack:
        if not _alike(reader.header, header):
            raise ValueError(f"{clip.name}: {_form(reader.header)}, its GT clip is {_form(header)}; {CHECK_IT}")
        if lack := vmaf.lacks(header) if vmaf_model else "":
            cli.say(f"{clip.name}: {lack}; scored without it")
        meters = {
            system: stack.enter_context(vmaf.Meter(header, header, vmaf_model, threads))
            for system in SYSTEMS
            if vmaf_model and not lack
        }
        num_frames = 0
        for pred in reader:
            if num_frames < len(clip.frames):
                index = clip.frames[num_frames]
                high = clip.high.frame(index)
                bicubic = interpolate.upscale(clip.low.frame(index), clip.low.header, contest.SCALE)
                systems = dict(zip(SYSTEMS, (pred, bicubic), strict=True))
                totals.measure_frame(systems, high, header, measured.values)
                for system, meter in meters.items():
                    meter.add(systems[system], high)
                for system, gauge in gauges.items():
                    gauge.add(index, systems[system], high)
                on_frame(index)
            num_frames += 1
        if num_frames != len(clip.frames):
            raise ValueError(
                f"{clip.name}: {num_frames} frames, expected {len(clip.frames)} of its GT clip's "
                f"{clip.high.num_frames}; {CHECK_IT}"
            )
        for system, meter in meters.items():
            result = meter.result()
            measured.values[system].vmaf.extend(result.vmaf)
            measured.values[system].vmaf_neg.extend(result.neg)
            measured.versions.add(result.version)
    measured.artefacts.update({system: gauge.result() for system, gauge in gauges.items()})
    return measured


def _alike(header: Header, other: Header) -> bool:
    return (header.plane_shapes, header.depth) == (other.plane_shapes, other.depth)


def _form(header: Header) -> str:
    return f"{header.width}x{header.height} C{header.chroma}"


def _clip_row(clip: ScoredClip, measured: Measured, reading: Reading) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": clip.clip_id,
        "file": clip.name,
        "low": clip.low.path.name,
        "high": clip.high.path.name,
        "whole": clip.whole,
        "frames": list(clip.frames),
        "width": clip.high.header.width,
        "height": clip.high.header.height,
    }
    row |= {system: totals.clip_values(measured.values[system], reading) for system in SYSTEMS}
    if measured.artefacts:
        row["artefacts"] = {system: asdict(marks) for system, marks in measured.artefacts.items()}
    return row


def _tools(versions: set[str]) -> dict[str, str | None]:
    import torch

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
