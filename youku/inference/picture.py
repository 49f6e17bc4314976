"""Enlarge a picture file to another: RGB in, RGB out, as `evaluate` does it; Y'CbCr in 8 bit never lies between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from youku.cli import UsageError
from youku.engines.network import Network
from youku.inference import evaluation, picture_scores
from youku.inference.evaluation import Picture
from youku.inference.jobs import Job
from youku.inference.pipeline import Options
from youku.video import fit, interpolate, picture_file, y4m


def enlarge(network: Network, job: Job, options: Options, tell: Callable[[str], object] = str) -> int:
    """Make a job's picture, whole or not at all; returns 1. ValueError for one that is damaged, or deeper than 8 bit."""
    useless = {"--deinterlace": job.deinterlace, "--sharpen": options.sharpen, "--batch": options.batch > 1}
    if flags := [flag for flag, is_given in useless.items() if is_given]:
        raise UsageError(f"{', '.join(flags)}: of no effect on pictures; leave it out")
    low = picture_file.read_rgb(job.source)
    for lost in picture_file.read_head(job.source).lost:
        tell(f"{job.source}: has {lost}")
    header = y4m.make_header(low.shape[1], low.shape[0], chroma="444")
    scaled = interpolate.scaled_header(header, network.scale)
    target = fit.target_header(header, job.size) if job.size else scaled
    tell(f"{job.source}: {header.width}x{header.height} -> {target.width}x{target.height}, {job.target}")
    high = evaluation.enlarge(network, low, options, job.source)
    if target != scaled and high.rgb is not None:
        planes = fit.fit(tuple(np.moveaxis(high.rgb, -1, 0)), scaled, target)  # R, G and B
        high = Picture(high.luma, np.stack(planes, axis=-1))
    picture_scores.save_picture(Path(job.target), high)
    return 1
