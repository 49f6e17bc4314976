"""Predict clips: a network, a Job each, y4m or any video in, y4m or a video out; what is up to date is left alone.

A clip's file appears whole, and beside it a hidden record of what made it. Nothing is printed: `watch` wraps the frames
of a job for progress, `tell` takes what there is to say. `run_jobs` is the one place where many clips become work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from youku import contest, files
from youku.cli import Watch, option, unwatched
from youku.engines.network import Network
from youku.inference import pipeline
from youku.inference.pipeline import Options
from youku.video import clips, container, encoding, interpolate, recording, y4m
from youku.video.clips import Opened
from youku.video.y4m import Header


@dataclass(frozen=True)
class Job:
    """One clip to enlarge; `frames` are the wanted source frames, None for all."""

    source: str
    target: str
    frames: range | None
    deinterlace: str | None = None
    """One of recording.DEINTERLACE: a frame for each frame, or for each field; None refuses interlaced clips."""

    @property
    def to_video(self) -> bool:
        return encoding.is_video(self.target)

    @property
    def record(self) -> Path:
        """Hidden file beside the output: what made it, and its size once finished."""
        target = Path(self.target)
        return target.with_name(f".{target.name}.json")


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """How an output that is not y4m is coded and what goes along."""

    codec: str | None = option(None, "of a video output (default x264; vp9 for .webm)", choices=encoding.CODECS)
    crf: int | None = option(
        None,
        "quality of a video output, smaller is better and larger (default x264 18, x265 20, vp9 24)",
        type=int,
    )
    audio: bool = True
    subtitles: bool = True


def list_jobs(source: str, target: str, frames: str, test_set: str, scale: int) -> list[Job]:
    """One job a clip; for a folder, named as the contest asks ("scored") or all as whole results ("all")."""
    if Path(source).is_dir():
        return _folder_jobs(source, target, frames, test_set)
    if source != "-" and not Path(source).is_file():
        raise ValueError(f"{source}: no such clip, video or folder; check the path")
    if Path(target).is_dir() or target.endswith("/"):
        target = str(Path(target) / f"{Path(source).stem}_x{scale}.y4m")
    if target != "-" and Path(target).suffix != ".y4m" and not encoding.is_video(target):
        raise ValueError(
            f"{target}: expected OUT{', OUT'.join(('.y4m', *encoding.SUFFIXES))}, a folder ending in /, or - for stdout"
        )
    if frames == "scored" and encoding.is_video(target):
        raise ValueError(f"{target}: --frames scored makes contest clips; name OUT.y4m")
    known = contest.parse_name(Path(source).name)
    return [Job(source, target, _wanted(frames, test_set, known[0] if known else None, source))]


def _folder_jobs(folder: str, target: str, frames: str, test_set: str) -> list[Job]:
    if target == "-" or Path(target).is_file():
        raise ValueError(f"{target}: {folder} is a folder, so the output must be a folder too")
    known = ((contest.parse_name(path.name), path) for path in sorted(Path(folder).iterdir()))
    lows = {name[0]: path for name, path in known if name and path.name == contest.low_name(name[0])}
    if frames == "scored":
        lows = {clip_id: path for clip_id, path in lows.items() if clip_id in contest.test_set(test_set).ids}
    if not lows:
        raise ValueError(f"{folder}: expected clips named {contest.low_name(0)}, found none to predict")
    jobs = []
    for clip_id, path in lows.items():
        result = contest.test_set(test_set).name(clip_id) if frames == "scored" else contest.result_name(clip_id, True)
        jobs.append(Job(str(path), str(Path(target) / result), _wanted(frames, test_set, clip_id, str(path))))
    return jobs


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


def predict_all(
    network: Network,
    jobs: Iterable[Job],
    options: Options,
    *,
    force: bool = False,
    video: VideoOptions | None = None,
    watch: Watch = unwatched,
    tell: Callable[[str], object] = str,
) -> int:
    """Run every job that is not up to date; returns how many were run."""
    made_by = {
        "model": f"{network.spec.name} x{network.scale}",
        "weights": files.sha256(network.path) if network.path else "none",
        "half": str(network.half),
        "ensemble": str(options.ensemble),
        "sharpen": str(options.sharpen),
    }
    predict = partial(predict_clip, network, options=options, video=video, watch=watch, tell=tell)
    num_run = 0
    for job, num_frames in run_jobs(jobs, partial(_keep_up_to_date, predict, made_by, force, video)):
        if job.target != "-":
            tell(f"{job.target}: {'up to date' if num_frames is None else f'{num_frames} frames'}")
            num_run += num_frames is not None
    return num_run


def run_jobs(jobs: Iterable[Job], work: Callable[[Job], int | None]) -> Iterator[tuple[Job, int | None]]:
    """Each job with what `work` makes of it, in turn in this process; other ways to run them belong here."""
    return ((job, work(job)) for job in jobs)


def _keep_up_to_date(
    predict: Callable[[Job], int], made_by: dict[str, str], force: bool, video: VideoOptions | None, job: Job
) -> int | None:
    """Frames made; None where the output is up to date."""
    if job.target == "-":
        return predict(job)
    made_by = {**made_by, **_input_key(job), **({"video": str(video)} if job.to_video else {})}
    if not force and _is_up_to_date(job, made_by):
        return None
    files.write_json(job.record, made_by)  # claimed first: a run that is killed here may be repeated
    try:
        num_frames = predict(job)
    except BaseException:
        if not Path(job.target).exists():
            job.record.unlink()
        raise
    files.write_json(job.record, {**made_by, "bytes": Path(job.target).stat().st_size})
    return num_frames


def _is_up_to_date(job: Job, made_by: dict[str, str]) -> bool:
    """True for a finished output of the same key and input; ValueError for a whole clip that is not ours."""
    target = Path(job.target)
    if not target.exists():
        return False
    if job.record.exists():
        return job.source != "-" and files.read_json(job.record) == {**made_by, "bytes": target.stat().st_size}
    try:
        if not job.to_video:
            y4m.Clip(target)
    except y4m.Y4MError:
        return False  # broken: make it again
    raise ValueError(f"{target}: exists and was not made here; use --force to replace it")


def _input_key(job: Job) -> dict[str, str]:
    if job.source == "-":
        return {"input": "stdin"}
    state = Path(job.source).stat()
    frames = "all" if job.frames is None else f"{job.frames}"
    how = {"deinterlace": job.deinterlace} if job.deinterlace else {}
    return {
        **how,
        "input": str(Path(job.source).absolute()),
        "size": f"{state.st_size} {state.st_mtime_ns}",
        "frames": frames,
    }


def predict_clip(
    network: Network,
    job: Job,
    options: Options,
    video: VideoOptions | None = None,
    watch: Watch = unwatched,
    tell: Callable[[str], object] = str,
) -> int:
    """Enlarge one clip into its target file; returns the number of frames written."""
    neighbours = network.spec.needs_neighbours
    filters = (recording.DEINTERLACE[job.deinterlace],) if job.deinterlace else ()
    with clips.open_clip(job.source, job.frames, neighbours, not job.to_video, True, filters) as opened:
        header, source = opened.header, opened.recording
        if header.is_interlaced:
            raise recording.interlaced(job.source, is_clip=source is None)
        target = interpolate.scaled_header(header, network.scale)
        make: AbstractContextManager[y4m.Writer | container.Writer] = y4m.create(job.target, target)
        if job.to_video:
            make = _create(job, target, opened, video or VideoOptions(), tell)
        with make as writer:
            matrix = opened.tags.matrix_name if opened.tags else "601"
            wanted = job.frames if neighbours else None
            outputs = pipeline.upscale_frames(network, header, opened.frames, options, wanted, matrix)
            for planes in watch(outputs, Path(job.target).name, opened.num_frames):
                writer.write(planes)
            if source is not None and job.frames is None and writer.num_frames != len(source.times):
                raise ValueError(f"{job.source}: {writer.num_frames} frames were made of its {len(source.times)}")
            if opened.num_frames is not None and writer.num_frames < opened.num_frames:
                raise clips.too_short(job.source, job.frames)
        if source is not None and source.is_variable and not job.to_video:
            tell(f"{job.source}: its rate varies, and y4m has one rate alone; name a video (OUT.mp4) to keep the times")
        return writer.num_frames


def _create(
    job: Job, target: Header, opened: Opened, video: VideoOptions, tell: Callable[[str], object]
) -> AbstractContextManager[container.Writer]:
    """A video output and what it keeps of the source; all that may be refused is, before the work."""
    coding = encoding.default_encoding(job.target, video.codec, video.crf)
    encoding.check(target, job.target, coding)
    if opened.recording is None:
        return container.create(job.target, target, coding)
    streams = container.carried(job.source, job.target, video.audio, video.subtitles)
    tell(f"{job.source}: going along: {', '.join(streams.values()) or 'nothing else'}")
    along = container.Along(source=job.source, streams=streams)
    return container.create(job.target, target, coding, opened.recording, job.frames, along)
