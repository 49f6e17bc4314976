"""The published archives: which ones hold the clips asked for, where those clips lie on disk, and are they whole.

Rounds, splits, clip ids, kind -> Wanted archives; the clips on disk -> Notices of what is missing, damaged or odd.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from youku import contest
from youku.video.y4m import Clip, Header, Y4MError

MAX_CLIP_FACTOR = 2  # a member larger than twice the usual clip is refused; a 2048x1152 clip is 1.14 times


@dataclass(frozen=True)
class Wanted:
    """One archive and the clips asked for from it; `data` is the folder that holds raw/ and clips/."""

    archive: contest.Archive
    clip_ids: tuple[int, ...]
    data: Path

    @property
    def zip_path(self) -> Path:
        return self.data / "raw" / self.archive.name

    def clip_path(self, clip_id: int) -> Path:
        name = contest.low_name(clip_id) if self.archive.kind == "input" else contest.high_name(clip_id)
        return self.data / "clips" / contest.SPLITS[self.archive.split].folder / name

    @property
    def clip_bytes(self) -> int:
        """Raw size of one clip at the usual picture size."""
        return contest.LOW_CLIP_BYTES if self.archive.kind == "input" else contest.HIGH_CLIP_BYTES

    @property
    def max_member_bytes(self) -> int:
        return MAX_CLIP_FACTOR * self.clip_bytes

    def missing(self) -> tuple[int, ...]:
        """Ids of the clips that are absent or damaged."""
        return tuple(clip_id for clip_id in self.clip_ids if isinstance(look(self.clip_path(clip_id)), Notice))


@dataclass(frozen=True)
class Notice:
    """Something a person should know about a clip asked for: state is missing, damaged or odd."""

    path: str
    state: str
    detail: str


def choose(data: str | Path, rounds: str = "1", splits: str = "", clips: str = "", kind: str = "both") -> list[Wanted]:
    """Archives that hold the clips asked for; ValueError for an unknown name or a choice that holds nothing."""
    numbers = {"1": (1,), "2": (2,), "all": (1, 2)}[rounds]
    names = {split.name for split in contest.SPLITS.values() if split.round in numbers}
    if splits:
        names = {found for name in splits.split(",") for found in _split_names(name.strip(), numbers)}
    first, last = _clip_range(clips)
    chosen = []
    for published in contest.archives():
        ids = tuple(range(max(first, published.first), min(last, published.last) + 1))
        if published.split in names and kind in (published.kind, "both") and ids:
            chosen.append(Wanted(published, ids, Path(data)))
    if not chosen:
        raise ValueError(
            f"nothing to download for --round {rounds} --split {splits or 'all'} --clips {clips or 'all'} "
            f"--kind {kind}; round 1 has clips 0-249, round 2 250-949, test splits have no labels"
        )
    return chosen


def _split_names(name: str, rounds: tuple[int, ...]) -> list[str]:
    """A full split name as it is, a short one (train, val, test) within the chosen rounds."""
    if name in contest.SPLITS:
        return [name]
    found = [split.name for split in contest.SPLITS.values() if split.folder == name and split.round in rounds]
    if not found:
        raise ValueError(
            f"--split {name!r}: expected train, val or test of the chosen round (round 2 has no val), "
            f"or one of {', '.join(contest.SPLITS)}"
        )
    return found


def _clip_range(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text or "0-99999")
    first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
    if first > last:
        raise ValueError(f"--clips {text!r}: expected FIRST-LAST or one id, for example 0-49")
    return first, last


def look(path: Path) -> tuple[Header, int] | Notice:
    """A clip's header and number of frames, or why it cannot be used."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a clip, found a folder; move it away and run again")
    if not path.exists():
        return Notice(str(path), "missing", "not there")
    try:
        clip = Clip(path)
    except Y4MError as error:
        return Notice(str(path), "damaged", str(error).removeprefix(f"{path}: "))
    return clip.header, clip.num_frames


def verify(wanted: Sequence[Wanted], num_frames: int = contest.CLIP_FRAMES) -> list[Notice]:
    """Check every clip asked for: there, whole, 8-bit 4:2:0, `num_frames` frames, ground truth x4 of its input."""
    notices, lows = [], dict[int, tuple[Header, int]]()
    for item in wanted:
        for clip_id in item.clip_ids:
            path = item.clip_path(clip_id)
            found = look(path)
            if isinstance(found, Notice):
                notices.append(found)
                continue
            if item.archive.kind == "input":
                lows[clip_id] = found
            low = lows.get(clip_id) if item.archive.kind == "label" else None
            notices += [Notice(str(path), "odd", oddity) for oddity in _oddities(*found, low, num_frames)]
    return notices


def _oddities(header: Header, num_frames: int, low: tuple[Header, int] | None, expected: int) -> list[str]:
    odd = []
    if num_frames != expected:
        odd.append(f"expected {expected} frames, got {num_frames}")
    if header.depth != 8 or not header.chroma.startswith("420"):
        odd.append(f"expected 8-bit 4:2:0, got C{header.chroma}")
    if low and (header.width, header.height) != (contest.SCALE * low[0].width, contest.SCALE * low[0].height):
        size = f"{header.width}x{header.height} against {low[0].width}x{low[0].height}"
        odd.append(f"expected {contest.SCALE} times the size of its low-resolution clip, got {size}")
    if low and low[1] != num_frames:
        odd.append(f"has {num_frames} frames, its low-resolution clip {low[1]}")
    return odd
