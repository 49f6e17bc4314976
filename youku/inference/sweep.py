"""Sweep the unsharp mask over a few frames of a submission: what sharpening does to PSNR, VMAF and VMAF NEG.

Shipped frames and their ground truth -> Points over sigma x amount, the first without a mask. The mask is that of
`predict --sharpen`, here on shipped integers and rounded again. Grid: the one in which the contest's optimum lies for
interpolators and for networks trained on PSNR alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from youku import contest
from youku.inference.pipeline import sharpen
from youku.metrics import psnr, vmaf
from youku.models import colours
from youku.video.y4m import Header, Planes

SIGMAS_PX = (0.8, 1.5, 2.0, 3.0)
AMOUNTS = (0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Point:
    """Means over the frames; sigma and amount are 0 without a mask; PSNR in dB, VMAF and score as the contest has them."""

    sigma_px: float
    amount: float
    psnr: float
    vmaf: float
    vmaf_neg: float
    score: float


def grid() -> list[tuple[float, float]]:
    """(sigma, amount) of every point, no mask first."""
    return [(0.0, 0.0), *((sigma_px, amount) for sigma_px in SIGMAS_PX for amount in AMOUNTS)]


def sharpened(planes: Planes, header: Header, sigma_px: float, amount: float) -> Planes:
    """A frame with the mask on its luma, rounded to the clip's integers; amount 0 gives the frame itself."""
    if amount == 0:
        return planes
    with torch.inference_mode():
        luma = colours.to_tensors([planes[:1]], header.depth, torch.device("cpu"))[0]
        return colours.to_codes(sharpen(luma, sigma_px, amount)[0], header.depth), *planes[1:]


def sweep(
    preds: Sequence[Planes],
    highs: Sequence[Planes],
    header: Header,
    psnr_planes: str = contest.PSNR_PLANES[0],
    vmaf_model: str = "vmaf_v0.6.1",
    on_point: Callable[[], object] = lambda: None,
) -> list[Point]:
    """Measure every point of the grid on consecutive frames; ValueError without frames or with unequal counts."""
    if not preds or len(preds) != len(highs):
        raise ValueError(f"sweep: expected as many frames as ground truth, got {len(preds)} and {len(highs)}")
    points = []
    for sigma_px, amount in grid():
        frames = [sharpened(planes, header, sigma_px, amount) for planes in preds]
        pairs = list(zip(frames, highs, strict=True))
        decibels = psnr.mean([psnr.frame(pred, high, header, psnr_planes) for pred, high in pairs])
        result = vmaf.measure(frames, highs, header, vmaf_model)
        value, neg = vmaf.pool(result.vmaf), vmaf.pool(result.neg)
        points.append(Point(sigma_px, amount, decibels, value, neg, contest.score(decibels, value)))
        on_point()
    return points
