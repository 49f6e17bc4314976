"""How far a score would move with other clips: 95 % intervals by bootstrap over clips, of one submission and of a difference.

Clips of a score (rows of score.json), whole and sampled ones drawn apart so that each draw has VMAF -> (low, high), and
words. Clips that were cut from one film are drawn together: ten of them say little more than one about other films.
Sources: Efron 1979, percentile intervals; Field, Welsh 2007, clusters. Two systems are drawn together, clip by clip: what
a hard clip does to both cancels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from youku import contest
from youku.text_table import plural

DRAWS, SEED, PERCENT = 4000, 0, (2.5, 97.5)
NO_DIFFERENCE = "no difference that these clips show"
LEAST = 3  # films of a kind: fewer tell nothing of others
Interval = tuple[float, float]


class Clips(NamedTuple):
    """What the score takes of a system's clips, (clips,) each; nan where there is no VMAF, or it does not count."""

    is_whole: np.ndarray
    film: np.ndarray  # its number; a clip of which none is known is one of its own
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
    numbers: dict[object, int] = {}
    film = [numbers.setdefault(row.get("film") or index, len(numbers)) for index, row in enumerate(rows)]
    return Clips(is_whole, np.array(film, int), column(f"psnr_{protocol['psnr_planes']}"), weights, vmaf)


def of_score(clips: Clips, other: Clips | None = None) -> Interval | None:
    """Of the score, or of what it is above that of `other` on the same clips; None where `_lack` says why."""
    if _few_films(clips):
        return None
    kinds = [clips.is_whole == kind for kind in (True, False) if (clips.is_whole == kind).any()]
    rng, times = np.random.default_rng(SEED), np.zeros((DRAWS, len(clips.film)))  # how often a draw has a clip
    for kind in kinds:
        films, film = np.unique(clips.film[kind], return_inverse=True)
        chosen = rng.choice(len(films), (DRAWS, len(films))) + len(films) * np.arange(DRAWS)[:, None]
        times[:, kind] = np.bincount(chosen.ravel(), minlength=chosen.size).reshape(chosen.shape)[:, film]
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = _scores(clips, times) - (_scores(other, times) if other is not None else 0.0)
    if not np.isfinite(scores).all():
        return None
    low, high = np.percentile(scores, PERCENT)
    return float(low), float(high)


def _scores(clips: Clips, times: np.ndarray) -> np.ndarray:
    """The total of each draw, as `totals.totals_of` makes it: (draws, clips) -> (draws,)."""
    known = np.isfinite(clips.vmaf)
    vmaf = times @ np.where(known, clips.vmaf, 0) / (times @ known)
    psnr_db = times @ (clips.psnr_db * clips.weights) / (times @ clips.weights)
    return contest.PSNR_WEIGHT * psnr_db + contest.VMAF_WEIGHT * vmaf


def _few_films(clips: Clips) -> str:
    """Which kind of clips is of fewer films than tell anything; "" for enough."""
    if not clips.film.size:
        return "no clips"
    for kind, name in ((clips.is_whole, "whole"), (~clips.is_whole, "sampled")):
        if 0 < (number := len(np.unique(clips.film[kind]))) < LEAST:
            return f"{plural(int(kind.sum()), f'{name} clip')} of {plural(number, 'film')}, it takes {LEAST} films"
    return ""


def _lack(clips: Clips) -> str:
    """Why these clips have no interval."""
    exact = "an exact match, inf dB" if not np.isfinite(clips.psnr_db).all() else ""
    none = "VMAF of too few clips" if np.isfinite(clips.vmaf).any() else "no VMAF"
    return _few_films(clips) or exact or none


def told(clips: Clips, other: Clips | None = None) -> str:
    """ "33.61 to 34.40", or why it is not known; above `other`, also on which side of 0 it lies, if on one."""
    interval = of_score(clips, other)
    if interval is None:
        return f"not known ({_lack(clips if other is None or of_score(clips) is None else other)})"
    if other is None:
        return " to ".join(f"{value:.2f}" for value in interval)
    words = "higher, not by chance" if interval[0] > 0 else "lower, not by chance" if interval[1] < 0 else NO_DIFFERENCE
    return f"{interval[0]:+.2f} to {interval[1]:+.2f}, {words}"


def sentences(scores: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    """Of the content of each score.json: its interval, what it is above bicubic, and the others above the first."""
    own = [clips_of(score["clips"], score["protocol"]) for score in scores]
    said = []
    for name, clips, score in zip(names, own, scores, strict=True):
        gain = f"; above bicubic {told(clips, clips_of(score['clips'], score['protocol'], 'bicubic'))}"
        said.append(f"{name}: score {told(clips)}{gain}." if of_score(clips) else f"{name}: {told(clips)}.")
    pairs = list(zip(names, own, strict=True))[1:]
    return said + [f"{name} above {names[0]}: {told(clips, own[0])}." for name, clips in pairs]
