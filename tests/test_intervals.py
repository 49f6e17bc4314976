"""Intervals: they hold the total, shrink with more clips, pair what both systems share, and are the same each time."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest

from youku import contest
from youku.exchange import intervals
from youku.exchange.intervals import Clips
from youku.exchange.totals import FrameValues, Reading, clip_values, totals_of

READING = Reading()
Values = list[tuple[bool, FrameValues]]


def make(num_whole: int, num_sampled: int, gain: float = 0.0, seed: int = 0) -> Values:
    """Clips of very different difficulty; VMAF of the whole ones alone."""
    rng, clips = np.random.default_rng(seed), []
    for index in range(num_whole + num_sampled):
        whole, hard = index < num_whole, rng.normal(0, 3)
        frames = (30 + hard + gain + rng.normal(0, 0.1, 6)).tolist()
        row = FrameValues(psnr_yuv=frames, psnr_y=frames, ssim=[0.9] * 6)
        row.vmaf.extend([50 + 5 * hard + gain] * 6 if whole else [])
        clips.append((whole, row))
    return clips


def clips_of(values: Values, reading: Reading = READING, films: list[str] | None = None) -> Clips:
    """As a score's rows have them, each of a film of its own or of those named."""
    rows = [{"whole": whole, "frames": row.psnr_y, "submission": clip_values(row, reading)} for whole, row in values]
    return intervals.clips_of(
        [{**row, "film": film} for row, film in zip(rows, films or [None] * len(rows), strict=True)], asdict(reading)
    )


def test_the_interval_holds_the_total_and_is_the_same_each_time() -> None:
    """For both ways of pooling; 45 more clips make it narrower."""
    for reading in (READING, Reading(psnr_pool="frame", vmaf_clips="all")):
        clips = make(5, 45)
        low, high = intervals.of_score(clips_of(clips, reading)) or (0, 0)
        total = totals_of(clips, reading)["score"]
        assert total is not None and low < total < high
        assert (low, high) == intervals.of_score(clips_of(clips, reading))
    few = intervals.of_score(clips_of(make(5, 3)))
    assert few is not None and few[1] - few[0] > high - low


def test_coverage_is_about_95_percent() -> None:
    """Of scores by PSNR whose true mean is known: the interval of 40 clips holds it in about 19 of 20 draws."""
    truth, hits = contest.PSNR_WEIGHT * 30 + contest.VMAF_WEIGHT * 50, 0
    for seed in range(100):
        low, high = intervals.of_score(clips_of(make(40, 0, seed=seed))) or (0, 0)
        hits += low <= truth <= high
    assert 87 <= hits <= 100


def test_a_difference_is_paired() -> None:
    """Half a decibel on every clip is certain, though the clips differ by three; the other way round it is negative."""
    better, worse = clips_of(make(5, 45, gain=0.5)), clips_of(make(5, 45))
    low, high = intervals.of_score(better, worse) or (0, 0)
    assert 0.4 < low <= contest.PSNR_WEIGHT * 0.5 + contest.VMAF_WEIGHT * 0.5 <= high < 0.6
    back = intervals.of_score(worse, better)
    assert back == pytest.approx((-high, -low), abs=0.01)


@pytest.mark.parametrize(
    ("clips", "why"),
    [
        (make(2, 45), "2 whole clips of 2 films, it takes 3 films"),
        (make(5, 1), "1 sampled clip of 1 film, it takes 3 films"),
        (make(0, 0), "no clips"),
        (make(0, 5), "no VMAF"),
    ],
)
def test_too_few_clips_have_none(clips: Values, why: str) -> None:
    """Nor has a score without VMAF, or an exact match; which of these it is, is said."""
    assert intervals.of_score(clips_of(clips)) is None and intervals.told(clips_of(clips)) == f"not known ({why})"


def test_cuts_of_one_film_are_drawn_together() -> None:
    """Five like cuts of a film tell what one tells, and seem to tell more taken for five films; two films tell nothing."""
    films, cuts = make(5, 6), make(5, 6) * 5
    names = [f"{index}.mp4" for index in range(11)] * 5
    one = intervals.of_score(clips_of(films))
    together, apart = intervals.of_score(clips_of(cuts, films=names)), intervals.of_score(clips_of(cuts))
    assert one is not None and apart is not None and together == pytest.approx(one)
    assert apart[1] - apart[0] < 0.6 * (one[1] - one[0])
    two = clips_of(make(10, 0), films=["a.mp4", "b.mp4"] * 5)
    assert intervals.told(two) == "not known (10 whole clips of 2 films, it takes 3 films)"


def test_an_exact_match_has_none() -> None:
    """inf dB; nor has what is above such a one. VMAF of one whole film in three makes draws without any."""
    clips = make(5, 5)
    clips[0][1].psnr_yuv[0] = math.inf
    exact = clips_of(clips)
    assert intervals.told(exact) == intervals.told(clips_of(make(5, 5)), exact) == "not known (an exact match, inf dB)"
    rare = clips_of(make(3, 0))
    rare.vmaf[1:] = np.nan
    assert intervals.told(rare) == "not known (VMAF of too few clips)"


def test_what_the_clips_do_not_tell_apart_is_said() -> None:
    """An interval that holds 0 is no difference, in words; one that does not is one."""
    same, noisy = make(5, 45), make(5, 45)
    for index, (_, row) in enumerate(noisy):
        row.psnr_yuv[:] = [value + (0.2 if index % 2 else -0.2) for value in row.psnr_yuv]
    close = intervals.told(clips_of(noisy), clips_of(same))
    assert "no difference that these clips show" in close
    better = clips_of(make(5, 45, gain=0.5))
    far, back = intervals.told(better, clips_of(same)), intervals.told(clips_of(same), better)
    assert far.startswith("+0.") and far.endswith(", higher, not by chance")
    assert back.startswith("-0.") and back.endswith(", lower, not by chance")
