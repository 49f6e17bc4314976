"""Score the shipped bytes of a zip or folder against the ground truth, beside bicubic and Lanczos on the same frames.

Submission, LR clips, GT clips -> the content of score.json. One pass over each clip, frames streamed; the figures are
those of `totals`: what the reading of the rules needs, or everything. The references of a clip are measured once and
kept (`baseline`). Every count and size is compared before anything is measured.
"""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import youku
from youku import cli, contest, stops
from youku.contest import TestSet
from youku.exchange import baseline, intervals, parts, totals
from youku.exchange.pairing import CHECK_IT, ScoredClip, alike, form, pair_up
from youku.exchange.parts import Measured
from youku.exchange.submission import Submission, open_submission
from youku.exchange.totals import REFERENCES, SYSTEMS, FrameValues, Reading, Wanted
from youku.metrics import vmaf
from youku.metrics.artefacts import Gauge
from youku.text_table import plural
from youku.threads import limit_threads
from youku.video import ffmpeg, interpolate
from youku.video.y4m import Planes

MAX_JOBS = 4  # clips measured at once; each holds about 20 frames


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
    everything: bool = False,
    out: Path | None = None,
) -> dict[str, Any]:
    """Score a zip or folder of results; returns the content of score.json. ValueError where inputs do not fit together.

    `low` and `high` are folders of LR and GT clips; `jobs` clips are measured at once (default: from the CPU count).
    `everything` adds what the score does not need: PSNR over RGB, VMAF NEG, VMAF of the clips that were sampled.
    What others (`opened`) have kept in the folder `out` is not measured again.
    """
    reading = reading or Reading()
    submission, clips, measure = opened(
        path, low, high, test_set, reading, with_vmaf, jobs, progress, with_artefacts, everything,
        out if out and (out / parts.FOLDER).is_dir() else None,
    )  # fmt: skip
    measured = measure(clips)
    pairs = list(zip(clips, measured, strict=True))
    values = {system: [(clip.whole, one.values[system]) for clip, one in pairs] for system in SYSTEMS}
    rows = [_clip_row(clip, one, reading) for clip, one in pairs]
    own = {system: intervals.clips_of(rows, asdict(reading), system) for system in SYSTEMS}
    score = {
        "name": name or _name(submission.path),
        "test_set": str(test_set),
        "created": _now(),
        "protocol": asdict(reading),
        "tools": _tools(set().union(*(one.versions for one in measured))),
        "paths": {"submission": str(path), "low": str(low), "high": str(high)},
        "totals": {system: totals.totals_of(values[system], reading) for system in SYSTEMS},
        "interval": {
            **{system: intervals.of_score(own[system]) for system in SYSTEMS},
            "difference": intervals.of_score(own["submission"], own["bicubic"]),
        },
        "clips": rows,
    }
    if with_artefacts:
        score["artefacts"] = {
            system: totals.artefact_totals([one.artefacts[system] for one in measured]) for system in SYSTEMS
        }
    return score


def opened(
    path: str | Path, low: str | Path, high: str | Path, test_set: TestSet, reading: Reading, with_vmaf: bool = True,
    jobs: int | None = None, progress: bool = False, with_artefacts: bool = False, everything: bool = False,
    out: Path | None = None,
) -> tuple[Submission, list[ScoredClip], Callable[[list[ScoredClip]], list[Measured]]]:  # fmt: skip
    """A submission, its clips, and what measures some of them side by side; with `out` it keeps that there, or takes it."""
    if with_vmaf:
        vmaf.require()
    submission = open_submission(path)
    how = partial(totals.wanted_of, reading, everything=everything, with_vmaf=with_vmaf)
    measure = partial(_measure_clips, submission, reading.vmaf_model, how, jobs, progress, with_artefacts, out)
    return submission, pair_up(submission, test_set, Path(low), Path(high)), measure


def begin(open_all: Callable[..., Any], beside: int, tell: Callable[[str], object]) -> Callable[[int], int]:
    """In a process beside others: what measures a clip, by its id, as `opened` says, and keeps that."""
    _, clips, measure = open_all(jobs=beside)
    own = {clip.clip_id: clip for clip in clips}
    return lambda clip_id: len(measure([own[clip_id]]))


def _measure_clips(
    submission: Submission, vmaf_model: str, how: Callable[[bool], Wanted], jobs: int | None, progress: bool,
    with_artefacts: bool, out: Path | None, clips: list[ScoredClip],
) -> list[Measured]:  # fmt: skip
    from youku.metrics.ssim import WINDOW_PX  # with torch

    wanted = {clip.clip_id: how(clip.whole) for clip in clips}
    for clip in clips:
        if min(clip.high.header.height, clip.high.header.width) < WINDOW_PX:
            cli.say(f"{clip.name}: SSIM: takes pictures of {WINDOW_PX} pixels or more a side; scored without it")
        if wanted[clip.clip_id].vmaf and (lack := vmaf.lacks(clip.high.header)):
            cli.say(f"{clip.name}: {lack}; scored without it")
            wanted[clip.clip_id] = replace(wanted[clip.clip_id], vmaf=False, neg=False)
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)

    def measure_or_take(on_frame: Callable[[int], object], clip: ScoredClip) -> Measured:
        measure = partial(_measure, submission, vmaf_model, wanted[clip.clip_id], threads, with_artefacts, on_frame)
        if out is None:
            return measure(clip)
        settings = {"model": vmaf_model, "artefacts": with_artefacts, **asdict(wanted[clip.clip_id])}
        part = parts.entry(out, submission, clip.name, (clip.low.path, clip.high.path), clip.frames, settings)
        found = parts.read(part, len(clip.frames))
        if found is None:
            parts.write(part, found := measure(clip))
        return found

    num_frames = sum(len(clip.frames) for clip in clips)
    with (
        cli.bar(total=num_frames, unit="frame", desc="score", is_shown=progress, leave=False) as bar,
        stops.workers(jobs, "score", limit_threads, (1,)) as (pool, stop),
    ):
        return _measure_all(pool, stop, measure_or_take, clips, bar)


def _now() -> str:
    """The time, or the one that a build shall pretend (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    pretended = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = int(pretended) if pretended.isascii() and pretended.isdigit() else time.time()
    return datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")


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


def _measure(
    submission: Submission,
    vmaf_model: str,
    wanted: Wanted,
    threads: int,
    with_artefacts: bool,
    on_frame: Callable[[int], object],
    clip: ScoredClip,
) -> Measured:
    """Stream one clip once and measure on each of its frames what was shipped, and the references where no run before has."""
    header = clip.high.header
    measured_by = {"model": vmaf_model, **asdict(wanted)}
    places = {
        name: baseline.entry(name, clip.low.path, clip.high.path, clip.frames, measured_by) for name in REFERENCES
    }
    read = {name: baseline.read(place, len(clip.frames)) for name, place in places.items() if not with_artefacts}
    kept = {name: found for name, found in read.items() if found}
    names = [name for name in SYSTEMS if name not in kept]
    with submission.open(clip.name) as reader:
        if not alike(reader.header, header):
            raise ValueError(f"{clip.name}: {form(reader.header)}, its GT clip is {form(header)}; {CHECK_IT}")
        measured = _stream(clip, reader, names, wanted, vmaf_model, threads, with_artefacts, on_frame)
    for name in names[1:]:
        baseline.write(places[name], measured.values[name], measured.versions)
    for name, (values, versions) in kept.items():
        measured.values[name] = values
        measured.versions.update(versions)
    return measured


def _stream(
    clip: ScoredClip,
    frames: Iterable[Planes],
    names: Sequence[str],
    wanted: Wanted,
    vmaf_model: str,
    threads: int,
    with_artefacts: bool,
    on_frame: Callable[[int], object],
) -> Measured:
    """Measure the named systems frame by frame; `frames` are the submission's."""
    header, measured = clip.high.header, Measured({name: FrameValues() for name in names})
    gauges = {name: Gauge(header.depth) for name in names if with_artefacts}
    with ExitStack() as stack:
        meters = {
            name: stack.enter_context(vmaf.Meter(header, header, vmaf_model, threads, wanted.neg))
            for name in names
            if wanted.vmaf
        }
        num_frames = 0
        for pred in frames:
            if num_frames < len(clip.frames):
                index = clip.frames[num_frames]
                high, systems = clip.high.frame(index), {"submission": pred}
                for name in names[1:]:
                    low = clip.low.frame(index)
                    systems[name] = interpolate.upscale(low, clip.low.header, contest.SCALE, name)
                totals.measure_frame(systems, high, header, measured.values, wanted.rgb)
                for name, planes in systems.items():
                    if name in meters:
                        meters[name].add(planes, high)
                    if name in gauges:
                        gauges[name].add(index, planes, high)
                on_frame(index)
            num_frames += 1
        if num_frames != len(clip.frames):
            raise ValueError(
                f"{clip.name}: {plural(num_frames, 'frame')}, expected {len(clip.frames)} of its GT clip's "
                f"{clip.high.num_frames}; {CHECK_IT}"
            )
        for name, meter in meters.items():
            result = meter.result()
            measured.values[name].vmaf.extend(result.vmaf)
            measured.values[name].vmaf_neg.extend(result.neg)
            measured.versions.add(result.version)
    measured.artefacts.update({name: gauge.result() for name, gauge in gauges.items()})
    return measured


def _clip_row(clip: ScoredClip, measured: Measured, reading: Reading) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": clip.clip_id,
        "file": clip.name,
        "low": clip.low.path.name,
        "high": clip.high.path.name,
        "whole": clip.whole,
        "film": clip.film,
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
