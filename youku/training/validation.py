"""Validate a network on whole frames in the contest's own metric, through the same pipeline that predicts.

Clips: PSNR over all 4:2:0 samples, mean over frames then clips, and VMAF where wanted. Pictures: PSNR on Y of the
rounded output, cropped by the factor, mean over pictures (the papers' protocol).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from youku import contest
from youku.engines.network import Network
from youku.inference import evaluation, pipeline
from youku.metrics import psnr, vmaf
from youku.training.pairs import DEFAULT_RESIZER, ClipPair, Pair, PicturePair, load_picture_pair
from youku.video.y4m import Planes


@dataclass(frozen=True)
class Result:
    """Means over the validation set; `vmaf` and `score` are nan where VMAF was not measured."""

    psnr: float
    vmaf: float = math.nan

    @property
    def score(self) -> float:
        return contest.score(self.psnr, self.vmaf)


def frame_indices(num_frames: int, wanted: int) -> list[int]:
    """`wanted` frames spread evenly from the first: 0, 25, 50, 75 of 100."""
    wanted = min(wanted, num_frames)
    return [index * num_frames // wanted for index in range(wanted)]


def validate(
    network: Network, pairs: Sequence[Pair], num_frames: int, with_vmaf: bool, resizer: str = DEFAULT_RESIZER
) -> Result:
    """Score the network on held-out pairs; `resizer` shrinks pictures that bring no low resolution."""
    clips, vmafs = [], []
    for pair in pairs:
        if isinstance(pair, PicturePair):
            clips.append([picture_psnr(network, pair, resizer)])
            continue
        indices = frame_indices(pair.num_frames, num_frames)
        preds = list(_predicted(network, pair, indices))
        highs = [pair.high.frame(index) for index in indices]
        clips.append([psnr.yuv(pred, high, pair.depth) for pred, high in zip(preds, highs, strict=True)])
        if with_vmaf:
            vmafs.append(float(np.mean(vmaf.measure(preds, highs, pair.high.header).vmaf)))
    return Result(psnr.pool(clips, "clip"), float(np.mean(vmafs)) if vmafs else math.nan)


def picture_psnr(network: Network, pair: PicturePair, resizer: str = DEFAULT_RESIZER) -> float:
    """PSNR under the protocol y_crop_s, as `evaluate` measures it."""
    low, high = load_picture_pair(pair, resizer)
    pred = evaluation.enlarge(network, low, pipeline.Options())
    return evaluation.error(pred, evaluation.read_picture(high), "y_crop_s", pair.scale).psnr


def _predicted(network: Network, pair: ClipPair, indices: Sequence[int]) -> Iterator[Planes]:
    if network.spec.needs_neighbours:  # it sees each frame among its true neighbours
        return pipeline.upscale_frames(network, pair.low.header, pair.low, pipeline.Options(), indices)
    frames = (pair.low.frame(index) for index in indices)
    return pipeline.upscale_frames(network, pair.low.header, frames, pipeline.Options())
