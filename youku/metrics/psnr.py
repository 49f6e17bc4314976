"""PSNR of integer planes under each convention of the contest; the papers' protocols are in inference/evaluation.py.

Differences are taken in float64, so unsigned samples never wrap. "yuv" pools the squared error of all samples of a
frame, (4 MSE_Y + MSE_U + MSE_V) / 6 at 4:2:0; "y" is luma alone; "rgb" converts both frames to 8-bit RGB first.
An exact match has infinite PSNR; a mean of decibels that contains inf is inf, and is reported as such.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from youku import contest
from youku.video import color
from youku.video.y4m import Header, Planes

BAND_ROWS = 32
SAME_DB = 0.01  # machines round what they measure of the same frames by far less; two films are farther apart


def decibels(mse: float, peak: float = 255.0) -> float:
    """10 log10(peak^2 / MSE); inf for an MSE of 0."""
    return 10 * math.log10(peak * peak / mse) if mse > 0 else math.inf


def squared_error(pred: np.ndarray, high: np.ndarray) -> float:
    """Sum of squared differences of two arrays of one shape; exact for integer samples below 2^53."""
    if pred.shape != high.shape:
        raise ValueError(
            f"expected two pictures of one size, got {pred.shape} and {high.shape}; compare x4 outputs with GT"
        )
    total = 0.0
    for top in range(0, len(pred), BAND_ROWS):  # what lies between stays in the cache
        difference = np.subtract(pred[top : top + BAND_ROWS], high[top : top + BAND_ROWS], dtype=np.float64)
        total += float(np.vdot(difference, difference))
    return total


def plane_errors(pred: Planes, high: Planes) -> tuple[float, ...]:
    """Sum of squared errors of each plane of one frame."""
    return tuple(squared_error(a, b) for a, b in zip(pred, high, strict=True))


def yuv(pred: Planes, high: Planes, depth: int = 8) -> float:
    """dB of one MSE over all samples of a frame: planes weigh by their sample counts, so odd sizes are right."""
    return decibels(sum(plane_errors(pred, high)) / sum(plane.size for plane in high), (1 << depth) - 1)


def y(pred: Planes, high: Planes, depth: int = 8) -> float:
    """dB of the luma plane alone."""
    return decibels(squared_error(pred[0], high[0]) / high[0].size, (1 << depth) - 1)


def pictures(pred: np.ndarray, high: np.ndarray) -> float:
    """dB between two 8-bit pictures, peak 255."""
    return decibels(squared_error(pred, high) / high.size)


def frame(
    pred: Planes, high: Planes, header: Header, high_rgb: np.ndarray | None = None, with_rgb: bool = True
) -> dict[str, float]:
    """dB of one frame under each convention of contest.PSNR_PLANES; `high_rgb` where the truth was converted before."""
    errors, sizes, peak = plane_errors(pred, high), [plane.size for plane in high], (1 << header.depth) - 1
    found = {"yuv": decibels(sum(errors) / sum(sizes), peak), "y": decibels(errors[0] / sizes[0], peak)}
    if with_rgb:
        found["rgb"] = pictures(to_rgb(pred, header), to_rgb(high, header) if high_rgb is None else high_rgb)
    return found


def to_rgb(planes: Planes, header: Header) -> np.ndarray:
    """The 8-bit picture (H, W, 3) that the convention "rgb" compares."""
    return color.planes_to_rgb(planes, header.depth, header.layout, full_range=header.is_full_range)


def pool(clips: Sequence[Sequence[float]], how: str = "clip") -> float:
    """Mean of per-frame dB, a list a clip: "clip" = mean over frames, then clips; "frame" = over all frames alike."""
    if how not in contest.PSNR_POOLS:
        raise ValueError(f"psnr pool {how!r}: expected one of {', '.join(contest.PSNR_POOLS)}")
    if not clips or not all(clips):
        raise ValueError("psnr of no frames: expected at least one clip, each with at least one frame")
    if how == "frame":
        return mean([value for values in clips for value in values])
    return mean([mean(values) for values in clips])


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; inf when any value is."""
    return math.fsum(values) / len(values)
