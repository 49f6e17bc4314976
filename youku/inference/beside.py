"""A folder's clips, or the parts of a film, in several processes (`cluster.run`): what each of them does, by one engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path

from youku import cluster
from youku.cli import Each, Watch
from youku.engines import mean
from youku.engines.network import Network
from youku.inference import clip, pipeline
from youku.inference.clip import Predictor, Tell, Work
from youku.inference.jobs import Job, VideoOptions, filters_of
from youku.inference.pipeline import Options
from youku.video import clips, segments, y4m
from youku.video.clips import Opened
from youku.video.y4m import Planes

Load = Callable[[Sequence[str], Tell], Network]
MOST_PARTS = 64  # of a film: whoever makes one of a video first decodes what comes before


def begin(
    load: Callable[[Tell], Network], options: Options, force: bool, video: VideoOptions | None, number: int, tell: Tell
) -> Work:
    """A `Predictor` in one of `number` processes, which loads its own network and shares the memory with the others."""
    return Predictor(load(str), replace(options, beside=number), force=force, video=video, tell=tell)


def share(
    load: Load, engine: str, network: Network, jobs: Sequence[Job], options: Options, force: bool, video: VideoOptions
) -> Callable[[int, Tell], Work]:
    """`begin` for all processes: what --engine auto takes here for the first clip is what each of them takes."""
    for job in jobs if engine == "auto" else ():
        with suppress(ValueError):  # of a damaged clip, which its worker tells
            if "auto" in mean.settled(network):
                with clips.open_clip(job.source, filters=filters_of(job, str)) as opened:
                    list(pipeline.upscale_frames(network, opened.header, islice(opened.frames, 1), options))
    names = mean.settled(network) if engine == "auto" else [engine]
    return partial(begin, partial(load, names), options, force, video)


def predict_all(
    address: str, load: Load, engine: str, network: Network, jobs: list[Job], options: Options, device: str,
    *, force: bool, video: VideoOptions, watch: Watch, tell: Tell, each: Each,
) -> None:  # fmt: skip
    """`clip.predict_all` on a cluster: a clip a task, or of one clip a part of it, where the network takes each frame anew."""

    def run(tasks: Sequence[Job], each: Each, force: bool = False) -> None:
        how = share(load, engine, network, tasks, options, force, video)
        named = [cluster.Task(job.source, job.work_bytes, job) for job in tasks]
        cluster.run(address, named, how, tell, network.paths, device, each)

    if len(jobs) > 1 or network.spec.memory or network.spec.at_once_px:
        run(jobs, each, force)
    else:
        alone = replace(options, elsewhere=partial(film, run, options))
        clip.predict_all(network, jobs, alone, force=force, video=video, watch=watch, tell=tell)


def film(
    run: Callable[[Sequence[Job], Each], object], options: Options, job: Job, opened: Opened, folder: Path
) -> Iterator[Planes]:
    """All frames of a job, enlarged in parts by `run`; what is in `folder` already is not made again.

    A part is whole segments, so that batches are those of one process, and y4m: the coder of a video is one.
    """
    frames = job.frames or range(opened.num_frames or _count(job))
    length = segments.Kept(folder, options.batch).segment_frames
    length *= -(-len(frames) // (MOST_PARTS * length))
    parts = [
        replace(job, target=str(folder / segments.PARTS / f"{start:08d}.y4m"), frames=some, is_part=job.to_video)
        for start in range(0, len(frames), length)
        if (some := frames[start : start + length])
    ]
    run(parts, map)
    made = chain.from_iterable(y4m.Clip(Path(part.target)) for part in parts)
    for _, planes in zip(opened.frames, made, strict=True):  # a video tells its times as its frames come
        yield planes


def _count(job: Job) -> int:
    """Frames of a clip that does not tell their number."""
    with clips.open_clip(job.source, filters=filters_of(job, str)) as opened:
        return sum(1 for _ in opened.frames)
