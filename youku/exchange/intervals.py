"""How far a score would move with other clips: 95 % intervals by bootstrap over clips, of one submission and of a difference.

Clips of a score (rows of score.json), whole and sampled ones drawn apart so that each draw has VMAF -> (low, high), and
words. Source: Efron 1979, percentile intervals. Two systems are drawn together, clip by clip: what a hard clip does to
both cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from youku import contest

DRAWS, SEED, PERCENT = 4000, 0, (2.5, 97.5)
UNKNOWN = "not known (takes three clips of each kind, VMAF, and no exact match)"
Interval = tuple[float, float]


class Clips(NamedTuple):
    """What the score takes of a system's clips, (clips,) each; nan where there is no VMAF, or it does not count."""

    is_whole: np.ndarray
    psnr_db: np.ndarray
    weights: np.ndarray
    vmaf: np.ndarray


def clips_of(rows: Sequence[Mapping[str, Any]], protocol: Mapping[str, str], system: str = "submission") -> Clips:
    """Of the rows and the protocol of a score, as `score_clips` makes them or `scorefile` reads them."""

    def column(key: str) -> np.ndarray:
        return np.array([row[system].get(key) for row in rows], float)  # None: nan

    is_whole, by_frame = np.array([row["whole"] for row in rows], bool), protocol["psnr_pool"] == "frame"
    weights = np.array([len(row["frames"]) if by_frame else 1 for row in rows], float)
    vmaf = column("vmaf")
    if protocol["vmaf_clips"] == "full":
        vmaf[~is_whole] = np.nan
    return Clips(is_whole, column(f"psnr_{protocol['psnr_planes']}"), weights, vmaf)


def of_score(clips: Clips, other: Clips | None = None) -> Interval | None:
    """Of the score, or of what it is above that of `other` on the same clips; None for too few clips.

    Fewer than three clips of a kind tell nothing; an exact match (inf dB) has no interval, nor has a score without VMAF.
    """
    groups = [np.flatnonzero(clips.is_whole == kind) for kind in (True, False)]
    groups = [group for group in groups if len(group)]
    if not groups or min(map(len, groups)) < 3:
        return None
    rng = np.random.default_rng(SEED)
    drawn = np.concatenate([rng.choice(group, (DRAWS, len(group))) for group in groups], axis=1)  # (draws, clips)
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _scores(clips, drawn) - (_scores(other, drawn) if other is not None else 0.0)
    if not np.isfinite(scores).all():
        return None
    low, high = np.percentile(scores, PERCENT)
    return float(low), float(high)


def _scores(clips: Clips, drawn: np.ndarray) -> np.ndarray:
    """The total of each draw, as `totals.totals_of` makes it: (draws,)."""
    psnr_db, weights, vmaf = (column[drawn] for column in clips[1:])  # (draws, clips)
    known = np.isfinite(vmaf)
    mean = np.where(known, vmaf, 0).sum(axis=1) / known.sum(axis=1)
    return contest.PSNR_WEIGHT * (psnr_db * weights).sum(axis=1) / weights.sum(axis=1) + contest.VMAF_WEIGHT * mean


def told(interval: Interval | None, digits: int = 2, sign: str = "") -> str:
    """ "33.61 to 34.40", or what there must be for one."""
    return UNKNOWN if interval is None else " to ".join(f"{value:{sign}.{digits}f}" for value in interval)


def verdict(difference: Interval | None, digits: int = 2) -> str:
    """The interval of a difference, and in words whether it holds 0: then these clips do not tell the two systems apart."""
    if difference is None:
        return UNKNOWN
    is_inside = difference[0] <= 0 <= difference[1]
    return f"{told(difference, digits, '+')}, {'no difference that these clips show' if is_inside else 'a difference'}"


def sentences(scores: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Of the content of each score.json: its interval, what it is above bicubic, and the others above the first."""
    own = [clips_of(score["clips"], score["protocol"]) for score in scores]
    said = []
    for name, clips, score in zip(names, own, scores, strict=True):
        gain = of_score(clips, clips_of(score["clips"], score["protocol"], "bicubic"))
        said.append(f"{name}: score {told(of_score(clips))}" + (f"; above bicubic {verdict(gain)}." if gain else "."))
    pairs = list(zip(names, own, strict=True))[1:]
    return said + [f"{name} above {names[0]}: {verdict(of_score(clips, own[0]))}." for name, clips in pairs]
