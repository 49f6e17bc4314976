"""The clips of a test set with what was shipped of them, paired up and compared by counts and sizes before any work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from youku import contest
from youku.contest import TestSet
from youku.exchange.submission import Submission
from youku.text_table import listed, plural
from youku.video import interpolate, manifest, y4m

CHECK_IT = "check the submission: python -m youku submit --check"


@dataclass(frozen=True)
class ScoredClip:
    """One clip to score: its files and the source frames that were shipped."""

    clip_id: int
    whole: bool
    name: str
    low: y4m.Clip
    high: y4m.Clip
    frames: range
    film: str | None
    """What it was cut from, where pairs.json beside the ground truth says that."""

    @property
    def work(self) -> int:
        return len(self.frames) * self.high.header.frame_bytes


def pair_up(submission: Submission | None, test_set: TestSet, low: Path, high: Path) -> list[ScoredClip]:
    """Open every clip of the test set and compare counts and sizes before anything is measured, or made (None) to be."""
    missing = []
    for clip_id in test_set.ids:
        name = test_set.name(clip_id)
        if submission and (name not in submission.members or name in submission.wrong):
            fault = submission.wrong.get(name, "")
            missing.append(f"{name} in {submission.path}{f' ({fault})' if fault else ''}")
        wanted = ((low, contest.low_name(clip_id)), (high, contest.high_name(clip_id)))
        missing += [f"{one} in {folder}" for folder, one in wanted if not (folder / one).is_file()]
    if missing:
        raise ValueError(
            f"test set {test_set}: cannot find {listed(missing, 4)}; check the folders, or narrow --test-set"
        )
    clips, films = [], manifest.films(high)
    for clip_id in test_set.ids:
        low_clip, high_clip = y4m.Clip(low / contest.low_name(clip_id)), y4m.Clip(high / contest.high_name(clip_id))
        target = interpolate.scaled_header(low_clip.header, contest.SCALE)
        if not high_clip.header.is_like(target):
            raise ValueError(
                f"{high_clip.path}: {high_clip.header.form}, expected {target.form}, "
                f"{contest.SCALE} times its LR clip; fetch the pair again"
            )
        if high_clip.num_frames != low_clip.num_frames:
            raise ValueError(
                f"{high_clip.path}: {plural(high_clip.num_frames, 'frame')}, its LR clip has {low_clip.num_frames}; "
                "fetch the pair again"
            )
        frames = test_set.frames(clip_id, low_clip.num_frames)
        is_whole, name = test_set.is_whole(clip_id), test_set.name(clip_id)
        clips.append(ScoredClip(clip_id, is_whole, name, low_clip, high_clip, frames, films.get(clip_id)))
    return clips
