"""A folder's clips in several processes (`cluster.run`): what each of them does, by the engine that one chose for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from youku.engines import mean
from youku.engines.network import Network
from youku.inference import clip, pipeline
from youku.inference.clip import Tell, Work
from youku.inference.jobs import Job, VideoOptions, filters_of
from youku.inference.pipeline import Options
from youku.video import clips

Load = Callable[[Sequence[str], Tell], Network]


def begin(
    load: Callable[[Tell], Network], options: Options, force: bool, video: VideoOptions | None, number: int, tell: Tell
) -> Work:
    """`clip.work_of` in one of `number` processes, which loads its own network and shares the memory with the others."""
    return clip.work_of(load(str), replace(options, beside=number), force=force, video=video, tell=tell)


def share(
    load: Load, engine: str, network: Network, jobs: Sequence[Job], options: Options, force: bool, video: VideoOptions
) -> Callable[[int, Tell], Work]:
    """`begin` for all processes: what --engine auto takes here for the first clip is what each of them takes."""
    names = [engine]
    if engine == "auto" and jobs:
        if "auto" in mean.settled(network):
            with clips.open_clip(jobs[0].source, filters=filters_of(jobs[0], str)) as opened:
                list(pipeline.upscale_frames(network, opened.header, islice(opened.frames, 1), options))
        names = mean.settled(network)
    return partial(begin, partial(load, names), options, force, video)
