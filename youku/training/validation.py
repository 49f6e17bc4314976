"""Validate a network on whole frames in the contest's own metric, through the same pipeline that predicts.

Clips: PSNR over all 4:2:0 samples, mean over frames then clips, and VMAF where wanted, beside bicubic on the same
frames. Pictures: PSNR on Y of the rounded output, cropped by the factor, mean over pictures (the papers' protocol).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from youku import contest
from youku.inference import pipeline
from youku.inference.weights import Network
from youku.metrics import psnr, vmaf
from youku.training.dataset import ClipPair, Pair, PicturePair, load_picture_pair
from youku.video import color, resize
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


def validate(network: Network, pairs: Sequence[Pair], num_frames: int, with_vmaf: bool) -> Result:
    """Score the network on held-out pairs."""
    clips, vmafs = [], []
    for pair in pairs:
        if isinstance(pair, PicturePair):
            clips.append([picture_psnr(network, pair)])
            continue
        indices = frame_indices(pair.num_frames, num_frames)
        preds = list(_predicted(network, pair, indices))
        highs = [pair.high.frame(index) for index in indices]
        clips.append([psnr.yuv(pred, high, pair.depth) for pred, high in zip(preds, highs, strict=True)])
        if with_vmaf:
            vmafs.append(float(np.mean(vmaf.measure(preds, highs, pair.high.header).vmaf)))
    return Result(psnr.pool(clips, "clip"), float(np.mean(vmafs)) if vmafs else math.nan)


def picture_psnr(network: Network, pair: PicturePair) -> float:
    """PSNR on Y of MATLAB's rgb2ycbcr, crop = scale; a luma network is fed Y of the low-resolution picture."""
    low, high = load_picture_pair(pair.path, pair.scale)
    if network.spec.colours == "rgb":
        x = torch.from_numpy(low.transpose(2, 0, 1).copy()).to(network.device).float()[None] / 255
        out = pipeline.run_network(network, x, pipeline.Options(), max(low.shape))[0]
        rgb = resize.to_integers(out[0].cpu().numpy().transpose(1, 2, 0) * 255)
        return psnr.luma_crop(color.luma_of_picture(rgb), color.luma_of_picture(high), pair.scale)
    luma = torch.from_numpy(color.luma_of_picture(low)).to(network.device).float()[None, None] / 255
    out = pipeline.run_network(network, luma, pipeline.Options(), max(low.shape))[0]
    rounded = resize.to_integers(out[0, 0].cpu().numpy().astype(np.float64) * 255).astype(np.float64)
    return psnr.luma_crop(rounded, color.luma_of_picture(high), pair.scale)


def _predicted(network: Network, pair: ClipPair, indices: Sequence[int]) -> Iterator[Planes]:
    frames = (pair.low.frame(index) for index in indices)
    return pipeline.upscale_frames(network, pair.low.header, frames, pipeline.Options())
