"""How far a score would move with other clips: 95 % intervals by bootstrap over clips, of one submission and of a difference.

Clips of two systems, whole and sampled ones drawn apart so that each draw has VMAF -> (low, high). Source: Efron 1979,
percentile intervals. Two systems are drawn together, clip by clip: what a hard clip does to both cancels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from youku import contest
from youku.exchange.totals import FrameValues, Reading, clip_values

DRAWS, SEED, PERCENT = 4000, 0, (2.5, 97.5)
Clips = Sequence[tuple[bool, FrameValues]]  # (sent whole, values)
Interval = tuple[float, float]


def of_score(clips: Clips, reading: Reading, other: Clips | None = None) -> Interval | None:
    """Of the score under a reading, or of what it is above that of `other` on the same clips; None for too few clips.

    Fewer than three clips of a kind tell nothing; an exact match (inf dB) has no interval, nor has a score without VMAF.
    """
    groups = [[index for index, (whole, _) in enumerate(clips) if whole == kind] for kind in (True, False)]
    groups = [group for group in groups if group]
    if not groups or min(map(len, groups)) < 3:
        return None
    rng = np.random.default_rng(SEED)
    drawn = np.concatenate([rng.choice(group, (DRAWS, len(group))) for group in groups], axis=1)  # (draws, clips)
    scores = _scores(clips, reading, drawn)
    if other is not None:
        scores = scores - _scores(other, reading, drawn)
    if not np.isfinite(scores).all():
        return None
    low, high = np.percentile(scores, PERCENT)
    return float(low), float(high)


def _scores(clips: Clips, reading: Reading, drawn: np.ndarray) -> np.ndarray:
    """The total of each draw, as `totals.totals_of` makes it: (draws,)."""
    rows = [clip_values(values, reading) for _, values in clips]
    decibels = np.array([row[f"psnr_{reading.psnr_planes}"] for row in rows], float)[drawn]  # (draws, clips)
    weights = np.array([len(values.psnr_y) if reading.psnr_pool == "frame" else 1 for _, values in clips], float)[drawn]
    vmaf = np.array([np.nan if row["vmaf"] is None else row["vmaf"] for row in rows], float)[drawn]
    if reading.vmaf_clips == "full":
        vmaf = np.where(np.array([whole for whole, _ in clips])[drawn], vmaf, np.nan)
    known = np.isfinite(vmaf)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, vmaf, 0).sum(axis=1) / known.sum(axis=1)
        return contest.PSNR_WEIGHT * (decibels * weights).sum(axis=1) / weights.sum(axis=1) + contest.VMAF_WEIGHT * mean


def told(interval: Interval | None, digits: int = 2, sign: str = "") -> str:
    """ "33.61 to 34.40", or a word for none."""
    return "too few clips" if interval is None else " to ".join(f"{value:{sign}.{digits}f}" for value in interval)
