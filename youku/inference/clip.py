"""Predict clips: a network, a Job each, y4m or any video in, y4m, a video or pictures out; what is up to date is left alone.

A clip's file appears whole, and beside it a hidden record of what made it. A run that is stopped leaves what it finished
(video.segments), and the same command goes on from there; a pipe can be neither read nor written again. Nothing is
printed: `watch` wraps the frames of a job for progress, `tell` takes what there is to say.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from youku import files, stops
from youku.cli import Each, Watch, as_time, unwatched
from youku.engines.network import Network
from youku.inference import pipeline, records
from youku.inference.jobs import Job, VideoOptions, filters_of
from youku.inference.pipeline import Options
from youku.inference.stages import Busy, ahead
from youku.text_table import plural
from youku.video import clips, interpolate, resize, segments, y4m
from youku.video.clips import Opened
from youku.video.ffmpeg import InterlacedError
from youku.video.segments import Kept
from youku.video.y4m import Header, Planes

Tell = Callable[[str], object]
Work = Callable[[Job], int | None]
PACE_FRAMES, PACE_SEC = 4, 2.0  # how many frames, or how long, the pace is measured for


def predict_all(
    network: Network,
    jobs: Sequence[Job],
    options: Options,
    *,
    force: bool = False,
    video: VideoOptions | None = None,
    watch: Watch = unwatched,
    tell: Tell = str,
    each: Each = map,
) -> int:
    """Run every job that is not up to date; returns how many were run."""
    work = Predictor(network, options, force=force, video=video, watch=watch, tell=tell)
    return sum(made is not None for made in each(work, jobs))


@dataclass(frozen=True)
class Predictor:
    """What is done with each job: called with one it makes its frames, or tells that its output is up to date."""

    network: Network
    options: Options
    force: bool = field(default=False, kw_only=True)
    """Whether outputs that are up to date, or were not made here, are made again."""
    video: VideoOptions | None = field(default=None, kw_only=True)
    watch: Watch = field(default=unwatched, kw_only=True)
    tell: Tell = field(default=str, kw_only=True)

    @cached_property
    def _made_by(self) -> dict[str, str]:
        """What decides the pictures of all jobs."""
        model = f"{self.network.spec.name}{'+' * self.options.ensemble} x{self.network.scale}"  # EDSR+: of the ensemble
        model += ", sharpened" * bool(self.options.sharpen) + ", as its run began" * self.network.is_as_begun
        return {
            "model": model,
            "weights": " ".join(map(files.sha256, self.network.paths)) or "none",
            "dtype": self.network.dtype,
            "ensemble": str(self.options.ensemble),
            "sharpen": str(self.options.sharpen),
        }

    @property
    def _how(self) -> dict[str, str]:
        """What may change roundings: frames are kept for the same alone."""
        return {
            "device": str(self.network.device),
            "tile": str(self.options.tile_px),
            "batch": str(self.options.batch),
            "engine": self.network.engine.name,
            "kernels": str(bool(resize.compiled)),
        }

    def __call__(self, job: Job) -> int | None:
        """Frames made; None where the output is up to date."""
        if job.target == "-":
            return self.predict(job)
        target = Path(job.target)
        known = records.read(records.record_of(target))
        made_by = {**self._made_by, "frames": str(job.frames or "all"), "deinterlace": str(job.deinterlacer)}
        made_by |= {"size": str(job.size)} | ({"video": str(self.video)} if job.to_video else {})
        source: dict[str, Any] = {}
        if job.source != "-":
            source = records.content_of(job.source, known.get("input"))
            made_by |= {"input": source["digest"]}
        if not self.force and records.is_up_to_date(target, known, made_by) and source:
            segments.drop(target)
            self.tell(f"{job.target}: up to date")
            return None
        made, began = {"made_by": made_by, "input": source}, time.monotonic()
        _load_writer(job)
        with records.claimed(target, made):
            key = records.key_of(made_by | self._how)
            with segments.keep(target, key, self.options.batch) if source else nullcontext() as kept:
                if num_frames := kept.num_placed(target) if kept else 0:  # killed right before its record was written
                    self.tell(f"{job.target}: {plural(num_frames, 'frame')}")
                else:
                    num_frames = self.predict(job, kept)
                output = records.content_of(target, digest=kept.digest if kept else "")
                stops.keeps("files that are finished are kept; the same command makes the rest")
                is_long = time.monotonic() - began > segments.SAVE_EVERY_SEC  # or a power cut may cost it
                records.write(target, {**made, "output": output}, durable=is_long)
        return num_frames

    def predict(self, job: Job, kept: Kept | None = None) -> int:
        """Enlarge one clip into its target file, from the frames on that are `kept`; returns the number of all its frames."""
        stops.keeps(partial(_told_kept, job.target, kept))
        if job.is_picture:
            from youku.inference import still

            return still.predict(self.network, job, self.options, self.tell)
        filters, whole = filters_of(job, self.tell), self.network.spec.needs_neighbours and not self.options.elsewhere
        turned = not (job.to_video or job.is_part)
        try:
            with clips.open_clip(job.source, job.frames, whole, turned, True, filters) as opened:
                return self._predict_opened(job, opened, kept)
        except pipeline.NotFiniteError as error:
            number = job.frames[error.index] if job.frames and not whole else error.index
            raise ValueError(f"{job.source}: frame {number}: {error}") from None
        except BaseException as error:
            num_frames = kept.num_frames() if kept else 0
            if num_frames and isinstance(error, y4m.Y4MError | InterlacedError) and not job.frames:
                those = f"--frames 0-{num_frames - 1} makes them alone"
                self.tell(f"{job.target}: {num_frames} frames came before the frame at fault; {those}")
            elif num_frames and isinstance(error, Exception):
                self.tell(_told_kept(job.target, kept))
            raise

    def _predict_opened(self, job: Job, opened: Opened, kept: Kept | None) -> int:
        header, source = opened.header, opened.recording
        if header.is_interlaced:
            from youku.video import recording

            raise recording.interlaced(job.source, is_clip=source is None)
        scaled = interpolate.scaled_header(header, self.network.scale)
        target = interpolate.target_header(header, job.size) if job.size else scaled
        busy = Busy()
        if source and source.num_frames and job.frames and job.frames[-1] >= source.num_frames:
            asked = f"{job.frames[0]}-{job.frames[-1]} are asked for"
            self.tell(f"{job.source}: says that it has {plural(source.num_frames, 'frame')}, {asked}")
        with self._create(job, target, opened, kept) as writer:
            num_kept = writer.num_kept if kept else 0
            num_frames = opened.likely_frames
            outputs = self._outputs(job, opened, num_kept, kept, busy)
            if target != scaled and not self.options.elsewhere:
                outputs = ahead(interpolate.fit(planes, scaled, target) for planes in outputs)
            if num_kept:
                self.tell(f"{job.target}: {num_kept} frames are there from an earlier run, going on after them")
            sizes = " -> ".join(f"{each.width}x{each.height}" for each in (header, target))
            about = "about " if num_frames and opened.num_frames is None and source and not source.num_frames else ""
            number = about + plural(num_frames, "frame") if num_frames else "unknown frames"
            what = f"{job.source}: {number}, {sizes} by {self.network.spec.name} x{self.network.scale}"
            num_left = max(0, num_frames - num_kept) or None if num_frames else None
            beside = " and the time of the coder" if job.to_video else ""
            together = 0 if self.network.spec.at_once_px else 1 if self.network.spec.memory else self.options.batch
            outputs = _announce(outputs, f"{what} on {self.network.device}", num_left, together, beside, self.tell)
            for planes in self.watch(outputs, Path(job.target).name, num_left):
                with busy.at("writing"):
                    _write_kept(writer, num_kept)
                    writer.write(planes)
            _write_kept(writer, num_kept, itertools.islice(opened.frames, job.frames[-1] + 1 if job.frames else None))
            if source is not None and job.frames is None and writer.num_frames != len(source.times):
                raise ValueError(f"{job.source}: {writer.num_frames} frames were made of its {len(source.times)}")
            if opened.num_frames is not None and writer.num_frames < opened.num_frames:
                num_read = job.frames[0] + writer.num_frames if job.frames and writer.num_frames else None
                raise clips.too_short(job.source, job.frames, num_read)
        to_y4m = not (job.to_video or job.is_part)  # or pictures
        if opened.lost_times and to_y4m:
            self.tell(f"{job.source}: {opened.lost_times}")
        if opened.lost_matrix and to_y4m and not job.to_pictures:
            self.tell(f"{job.source}: {opened.lost_matrix}")
        num_made = writer.num_frames - num_kept
        pace = f", {busy.told(num_made)}" if num_made else ""
        self.tell(f"{job.target}: {plural(writer.num_frames, 'frame')}{pace}")
        return writer.num_frames

    def _outputs(self, job: Job, opened: Opened, num_kept: int, kept: Kept | None, busy: Busy) -> Iterator[Planes]:
        """Enlarged frames from the first on that is not kept, each among its true neighbours.

        What a network remembers is not kept: one with memory goes through the clip again. The tiles stay those of the run
        that began the clip, whatever memory is free now, as other tiles may round other samples up.
        """
        if self.options.elsewhere and kept:
            return itertools.islice(self.options.elsewhere(job, opened, kept.folder), num_kept, None)
        whole_px = max(opened.header.width, opened.header.height)
        pin = partial(records.pinned, kept.folder, "tile_px", whole_px, num_kept > 0) if kept else int
        chosen = job.frames if self.network.spec.needs_neighbours else None  # or else they are chosen already
        remembers = self.network.spec.memory or not num_kept
        wanted = chosen if remembers else (chosen or range(sys.maxsize))[num_kept:]
        outputs = pipeline.upscale_frames(
            self.network, opened.header, opened.frames, self.options, wanted, opened.matrix, pin, busy, self.tell
        )
        return itertools.islice(outputs, num_kept, None) if remembers and num_kept else outputs

    def _create(self, job: Job, target: Header, opened: Opened, kept: Kept | None) -> AbstractContextManager[Any]:
        """The output and what it keeps of the source; all that may be refused is, before the work."""
        if job.to_pictures:
            from youku.video import picture_writer

            return picture_writer.create(Path(job.target), target, opened.matrix, kept)
        if not job.to_video:
            if kept is None:
                return y4m.create(job.target, target)
            if num_frames := opened.likely_frames:
                left_bytes = num_frames * (6 + target.frame_bytes) - kept.num_bytes()
                files.require_free(
                    Path(job.target).parent, left_bytes, f"{Path(job.target).name} of {plural(num_frames, 'frame')}"
                )
            return segments.create_y4m(job.target, target, kept)
        from youku.video import container, encoding  # PyAV: y4m goes without

        video = self.video or VideoOptions()
        coding = encoding.default_encoding(job.target, video.codec, video.crf, target)
        encoding.check(target, job.target, coding)
        if opened.recording is None:
            return container.create(job.target, target, coding, kept=kept)
        streams = container.carried(job.source, job.target, video.audio, video.subtitles)
        self.tell(f"{job.source}: going along: {', '.join(streams.values()) or 'nothing else'}")
        along = container.Along(source=job.source, streams=streams)
        return container.create(job.target, target, coding, opened.recording, job.frames, along, kept=kept)


def _told_kept(target: str, kept: Kept | None) -> str:
    """What a stop leaves of an output in the making."""
    if kept is None:
        return "nothing is kept: what goes through a pipe cannot be gone on with; name files to be able to"
    if num_frames := kept.num_frames():
        return f"{target}: {plural(num_frames, 'frame')} kept; the same command goes on from there"
    return f"nothing of {target} is kept yet; the same command begins it anew"


def _load_writer(job: Job) -> None:
    """What the output needs, before it is claimed: a stop while a library is loaded unwinds nothing."""
    if job.to_video:
        from youku.video import container as container
    elif job.to_pictures:
        from youku.video import picture_writer as picture_writer
    elif job.is_picture:
        from youku.inference import still as still


def _write_kept(writer: Any, num_kept: int, begun: Iterable[Planes] = ()) -> None:
    """Those frames of a video that an earlier run coded go out first, once their times are known."""
    if not num_kept:
        return
    from youku.video import container

    if isinstance(writer, container.Writer) and writer.num_frames < num_kept:
        for _ in begun:
            pass
        while writer.num_frames < num_kept:
            writer.write_kept()


def _announce(
    outputs: Iterator[Planes], what: str, num_frames: int | None, together: int, beside: str, tell: Tell
) -> Iterator[Planes]:
    """The same frames; before they go on, one line says what begins and how long it will take, by the pace of the first.

    `together` come at a time, or for 0 a shot, which tells no pace; nor do the some 50 that a video's coder gathers first.
    """
    first, began = list(itertools.islice(outputs, together)), time.monotonic()
    for num_timed, planes in enumerate(outputs if first else (), 1):
        first.append(planes)
        if num_timed % together == 0 and (num_timed >= PACE_FRAMES - 1 or time.monotonic() - began > PACE_SEC):
            break
    pace_sec = (time.monotonic() - began) / (len(first) - together) if len(first) > together else 0.0
    if pace_sec and num_frames:
        what += f", about {as_time(pace_sec * num_frames)}{beside}"
    elif pace_sec:
        what += f", {1 / pace_sec:.3g} frames a second"
    tell(what)
    return itertools.chain(first, outputs)
