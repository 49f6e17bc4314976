"""Score the shipped bytes of a zip or folder against the ground truth, beside bicubic and Lanczos on the same frames.

Submission, LR clips, GT clips -> the content of score.json. One pass over each clip, frames streamed; the figures are
those of `totals`: what the reading of the rules needs, or everything. Every count and size is compared before anything
is measured.

What was measured of a clip is kept in a JSON file that is named after all that decides it: in the user's cache the rows of
bicubic and Lanczos, which are measured once for a test set, in OUT/.score-parts what several machines measured, until it
is merged. What is damaged is measured again.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import youku
from youku import cli, contest, files, stops
from youku.contest import TestSet
from youku.exchange import intervals, totals
from youku.exchange.pairing import CHECK_IT, ScoredClip, pair_up
from youku.exchange.submission import Submission, open_submission
from youku.exchange.totals import REFERENCES, SYSTEMS, FrameValues, Reading, Wanted
from youku.metrics import vmaf
from youku.metrics.artefacts import Artefacts, Gauge
from youku.metrics.plane_ssim import WINDOW_PX
from youku.text_table import plural
from youku.threads import cores, limit_loaded
from youku.video import ffmpeg, interpolate
from youku.video.y4m import Planes

MAX_JOBS = 4  # clips measured at once; each holds about 20 frames
VERSION = 4  # of what is kept: counts up when the kit enlarges or measures otherwise
OnFrame = Callable[[int], object]


@dataclass(frozen=True)
class Measured:
    """What one pass over a clip gave, by system; `versions` of libvmaf."""

    values: dict[str, FrameValues]
    artefacts: dict[str, Artefacts] = field(default_factory=dict)
    versions: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Scoring:
    """A zip or folder of results, the folders of LR and GT clips, and how the clips are measured."""

    path: str | Path
    low: str | Path
    high: str | Path
    test_set: TestSet
    reading: Reading = Reading()  # noqa: RUF009  # it is frozen
    with_vmaf: bool = True
    with_artefacts: bool = False
    everything: bool = False
    """Also what the score does not need: PSNR over RGB, VMAF NEG, VMAF of the clips that were sampled."""
    parts: Path | None = None
    """A folder in which what is measured of each clip is kept, and taken where it is."""
    jobs: int | None = None
    """Clips measured at once (default: from the CPU count)."""
    progress: bool = False

    @property
    def num_jobs(self) -> int:
        return self.jobs or min(MAX_JOBS, cores())

    @cached_property
    def submission(self) -> Submission:
        return open_submission(self.path)

    def clips(self) -> list[ScoredClip]:
        """Its clips in pairs; ValueError where the inputs do not fit together."""
        if self.with_vmaf:
            vmaf.require()
        return pair_up(self.submission, self.test_set, Path(self.low), Path(self.high))

    def score(self, name: str | None = None) -> dict[str, Any]:
        """The content of score.json; ValueError where the inputs do not fit together."""
        clips = self.clips()
        measured = self.measure(clips)
        pairs = list(zip(clips, measured, strict=True))
        values = {system: [(clip.whole, one.values[system]) for clip, one in pairs] for system in SYSTEMS}
        rows = [_clip_row(clip, one, self.reading) for clip, one in pairs]
        own = {system: intervals.clips_of(rows, asdict(self.reading), system) for system in SYSTEMS}
        score = {
            "name": name or _name(self.submission.path),
            "test_set": str(self.test_set),
            "created": _now(),
            "protocol": asdict(self.reading),
            "tools": _tools(set().union(*(one.versions for one in measured))),
            "paths": {"submission": str(self.path), "low": str(self.low), "high": str(self.high)},
            "totals": {system: totals.totals_of(values[system], self.reading) for system in SYSTEMS},
            "interval": {
                **{system: intervals.of_score(own[system]) for system in SYSTEMS},
                "difference": intervals.of_score(own["submission"], own["bicubic"]),
            },
            "clips": rows,
        }
        if self.with_artefacts:
            score["artefacts"] = {
                system: totals.artefact_totals([one.artefacts[system] for one in measured]) for system in SYSTEMS
            }
        return score

    def measure(self, clips: Sequence[ScoredClip]) -> list[Measured]:
        """One pass over each clip, side by side; the first error ends the others at their next frame.

        The bar is moved by this thread alone: one that is stopped inside tqdm keeps the lock that all would wait for.
        """
        wanted, num_frames = [self._wanted(clip) for clip in clips], sum(len(clip.frames) for clip in clips)
        done: list[int] = []
        with (
            cli.bar(total=num_frames, unit="frame", desc="score", is_shown=self.progress, leave=False) as bar,
            stops.workers(self.num_jobs, "score", limit_loaded, (1,)) as (pool, stop),
        ):

            def on_frame(index: int) -> None:
                if stop.is_set():
                    raise CancelledError
                done.append(index)

            futures = [pool.submit(self._take, *both, on_frame) for both in zip(clips, wanted, strict=True)]
            return stops.results(futures, lambda: bar.update(len(done) - bar.n))

    def _wanted(self, clip: ScoredClip) -> Wanted:
        """What the score needs, or everything; said where a clip is too small for something."""
        header, reading = clip.high.header, self.reading
        if min(header.height, header.width) < WINDOW_PX:
            cli.say(f"{clip.name}: SSIM: takes pictures of {WINDOW_PX} pixels or more a side; scored without it")
        with_vmaf = self.with_vmaf and (self.everything or clip.whole or reading.vmaf_clips == "all")
        if with_vmaf and (lack := vmaf.lacks(header)):
            cli.say(f"{clip.name}: {lack}; scored without it")
            with_vmaf = False
        with_neg = with_vmaf and (self.everything or vmaf.MODELS[reading.vmaf_model] == reading.vmaf_model)
        return Wanted(self.everything or reading.psnr_planes == "rgb", with_vmaf, with_neg)

    def _take(self, clip: ScoredClip, wanted: Wanted, on_frame: OnFrame) -> Measured:
        """What `parts` has of exactly these bytes, or what is measured now and kept there."""
        if self.parts is None:
            return self._measure(clip, wanted, on_frame)
        shipped = self.submission.path / clip.name if self.submission.path.is_dir() else self.submission.path
        contents = [files.sha256(path) for path in (shipped, clip.low.path, clip.high.path)]
        settings = {"model": self.reading.vmaf_model, "artefacts": self.with_artefacts, **asdict(wanted)}
        part = _place(self.parts, clip.name, contents, list(clip.frames), settings)
        if (found := _recall(part, SYSTEMS, len(clip.frames))) is None:
            _keep(part, found := self._measure(clip, wanted, on_frame))
        return found

    def _measure(self, clip: ScoredClip, wanted: Wanted, on_frame: OnFrame) -> Measured:
        """Measure what was shipped of a clip, and the references where no run before has."""
        pair = [(str(path.resolve()), files.stamp(path)) for path in (clip.low.path, clip.high.path)]
        how = pair, list(clip.frames), {"model": self.reading.vmaf_model, **asdict(wanted)}
        places = {name: _place(files.cache_folder(name), *how) for name in REFERENCES}
        known = ((name, _recall(place, [name], len(clip.frames))) for name, place in places.items())
        found = {name: one for name, one in known if one} if not self.with_artefacts else {}
        names = [name for name in SYSTEMS if name not in found]
        with self.submission.open(clip.name) as reader:
            if not reader.header.is_like(clip.high.header):
                raise ValueError(
                    f"{clip.name}: {reader.header.form}, its GT clip is {clip.high.header.form}; {CHECK_IT}"
                )
            measured = self._stream(clip, reader, names, wanted, on_frame)
        for name in names[1:]:
            with suppress(OSError, ValueError):  # no cache, a full one, or a file in the place of its folder
                _keep(places[name], Measured({name: measured.values[name]}, versions=measured.versions))
        for one in found.values():
            measured.values.update(one.values)
            measured.versions.update(one.versions)
        return measured

    def _stream(
        self, clip: ScoredClip, frames: Iterable[Planes], names: Sequence[str], wanted: Wanted, on_frame: OnFrame
    ) -> Measured:
        """Measure the named systems frame by frame; `frames` are the submission's."""
        header, measured = clip.high.header, Measured({name: FrameValues() for name in names})
        gauges = {name: Gauge(header.depth) for name in names if self.with_artefacts}
        how = self.reading.vmaf_model, max(1, cores() // self.num_jobs), wanted.neg
        with ExitStack() as stack:
            judged = names if wanted.vmaf else ()
            meters = {name: stack.enter_context(vmaf.Meter(header, header, *how)) for name in judged}
            num_frames = 0
            for pred in frames:
                if num_frames < len(clip.frames):
                    index = clip.frames[num_frames]
                    high, systems = clip.high.frame(index), {"submission": pred}
                    for name in names[1:]:
                        low = clip.low.frame(index)
                        systems[name] = interpolate.upscale(low, clip.low.header, contest.SCALE, name)
                    totals.measure_frame(systems, high, header, measured.values, wanted.rgb)
                    for name, meter in meters.items():
                        meter.add(systems[name], high)
                    for name, gauge in gauges.items():
                        gauge.add(index, systems[name], high)
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


def _place(folder: Path, *decided_by: Any) -> Path:
    """The file of a measurement, whether it is there or not."""
    key = json.dumps([VERSION, *decided_by], sort_keys=True)
    return folder / f"{hashlib.sha256(key.encode()).hexdigest()[:40]}.json"


def _recall(path: Path, systems: Sequence[str], num_frames: int) -> Measured | None:
    """What is kept of those systems on so many frames; None where there is none or it is damaged."""
    try:
        kept = files.read_json(path)
        values = {system: FrameValues(**kept["values"][system]) for system in systems}
        artefacts = {system: Artefacts(**marks) for system, marks in kept["artefacts"].items()}
        rows = [row for one in values.values() for row in asdict(one).values()]
        is_whole = all(len(row) in (0, num_frames) and all(isinstance(value, float) for value in row) for row in rows)
        is_whole &= all(len(one.psnr_yuv) == num_frames for one in values.values())
        return Measured(values, artefacts, set(kept["versions"])) if is_whole else None
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _keep(path: Path, measured: Measured) -> None:
    """Unlike JSON's own rules, infinity is a number here."""
    files.write_json(path, {**asdict(measured), "versions": sorted(measured.versions)})


def begin(scoring: Scoring, beside: int, tell: Callable[[str], object]) -> Callable[[int], int]:
    """In a process beside others: what measures a clip, by its id, and keeps that among the parts."""
    own = replace(scoring, jobs=beside)
    clips = {clip.clip_id: clip for clip in own.clips()}
    return lambda clip_id: len(own.measure([clips[clip_id]]))


def _now() -> str:
    """The time, or the one that a build shall pretend (reproducible-builds.org, SOURCE_DATE_EPOCH)."""
    pretended = os.environ.get("SOURCE_DATE_EPOCH", "")
    now = int(pretended) if pretended.isascii() and pretended.isdigit() else time.time()
    return datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")


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
    return {
        "ffmpeg": ffmpeg.version(),
        "libvmaf": ", ".join(sorted(versions)) or None,
        "youku": youku.__version__,
        "torch": version("torch"),
    }


def _name(path: Path) -> str:
    """A submission is called after its zip, or its folder (a run's `predictions` after the run)."""
    path = path.absolute()
    return path.parent.name if path.name == "predictions" else path.name.removesuffix(".zip")
