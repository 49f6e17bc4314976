"""Choose what the page pictures and cut it: clips at both ends of the ranking, worst frames.

Clips of a score and their footage, some of it perhaps gone -> Album, with a sentence for whatever was left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from youku.pages import cells, comparison, stills
from youku.pages.cells import Cell
from youku.pages.comparison import Comparison
from youku.pages.footage import SHIPPED, Footage, locate
from youku.text_table import minus

APART = 12  # frames of one clip nearer than this (half a second) show the same thing
Clip = dict[str, Any]
Facts = list[tuple[str, Cell, Cell, Cell]]


@dataclass(frozen=True)
class Choice:
    """A frame to picture; `position` counts the frames that were sent."""

    clip: Clip
    position: int
    reason: str = ""

    @property
    def frame(self) -> int:
        """Its number in the whole clip."""
        return int(self.clip["frames"][self.position])


@dataclass(frozen=True)
class WorstFrame:
    """A row of a table of worst frames; without footage there are no crops."""

    choice: Choice
    numbers: list[Cell]
    anchor: str
    crops: dict[str, str]
    box: stills.Box | None
    repeated: bool  # its crops stand in the table above


@dataclass(frozen=True)
class Album:
    """What was pictured: comparisons, the worst frames by measure, and what had to be left out."""

    comparisons: list[Comparison]
    worst: dict[str, list[WorstFrame]]
    notes: list[str]

    def anchors(self, clip: Clip) -> dict[int, str]:
        """Where the frames of a clip are pictured, by position."""
        rows = [row for table in self.worst.values() for row in table if row.crops and row.choice.clip is clip]
        found = {row.choice.position: row.anchor for row in rows}
        return found | {clip["frames"].index(item.frame): item.anchor for item in self.comparisons if item.clip is clip}


def find_footage(
    scores: Sequence[Mapping[str, Any]],
    folders: Sequence[Path],
    names: Mapping[str, str],
    low: Path | None,
    high: Path | None,
) -> tuple[Footage, list[str]]:
    """Where each submission's clips lie, and a sentence for each that is gone."""
    shipped, notes = {}, []
    for layer, score, folder in zip(SHIPPED, scores, folders, strict=False):
        wanted = score["paths"].get("submission")
        shipped[layer] = locate(folder, wanted, folder.resolve() / f"{folder.resolve().name}.zip")
        if shipped[layer] is None:
            what = "Pictures are left out" if layer == "sr" else f"{names[layer]} is left out of the pictures"
            notes.append(f"{what}: the submitted clips ({wanted}) were not found.")
    paths = scores[0]["paths"]
    low, high = low or locate(folders[0], paths.get("low")), high or locate(folders[0], paths.get("high"))
    return Footage(low, high, shipped), notes


def choose(clips: Sequence[Clip], num_clips: int) -> list[Choice]:
    """The smallest and the largest PSNR gains over bicubic, or PSNR where no gain is known; no clip twice."""
    gains = {clip["id"]: minus(clip["submission"]["psnr"], clip["bicubic"].get("psnr")) for clip in clips}
    what, sign = "PSNR gain over bicubic", "+"
    if all(gain is None for gain in gains.values()):
        gains, what, sign = {clip["id"]: clip["submission"]["psnr"] for clip in clips}, "PSNR", ""
    known = sorted((gain, clip["id"], clip) for clip in clips if (gain := gains[clip["id"]]) is not None)
    num_best = min(num_clips, -(-len(known) // 2))
    num_worst = min(num_clips, len(known) - num_best)
    ends = [("Smallest", known[:num_worst]), ("Largest" if num_worst else "The only clip's", known[::-1][:num_best])]
    return [
        Choice(clip, _median_position(clip), f"{end} {what}: {cells.text(gain, 3, sign)} dB")
        for end, picked in ends
        for gain, _, clip in picked
    ]


def choose_worst(clips: Sequence[Clip], key: str | None, num_frames: int) -> list[Choice]:
    """The smallest finite values of a per-frame curve (None: the clip's own PSNR), worst first, apart in a clip."""
    known = []
    for index, clip in enumerate(clips):
        curve = clip["submission"]["per_frame"].get(key or clip["curve"], [])
        known += [(value, index, at) for at, value in enumerate(curve) if value is not None and math.isfinite(value)]
    picked: list[Choice] = []
    for _, index, position in sorted(known):
        choice = Choice(clips[index], position)
        near = [other for other in picked if other.clip is choice.clip and abs(other.frame - choice.frame) < APART]
        if len(picked) < num_frames and not near:
            picked.append(choice)
    return picked


def picture(
    choices: Sequence[Choice],
    worst: Mapping[str, Sequence[Choice]],
    place: Footage,
    facts: Callable[[Clip], Facts],
    numbers: Callable[[Choice], list[Cell]],
) -> Album:
    """Cut every chosen frame, reading each clip once; clips whose files are gone are named in the notes."""
    tables = {
        measure: list(dict.fromkeys((row.clip["id"], row.position) for row in rows)) for measure, rows in worst.items()
    }
    crops: dict[tuple[str, int], tuple[dict[str, str], stills.Box]] = {}
    viewers: dict[str, Comparison] = {}
    missing = []
    clips = {choice.clip["id"]: choice.clip for choice in (*choices, *(row for rows in worst.values() for row in rows))}
    for clip_id, clip in sorted(clips.items()) if place.shipped["sr"] is not None else ():
        large = [choice for choice in choices if choice.clip is clip]
        small = {position for rows in tables.values() for name, position in rows if name == clip_id}
        try:
            frames = place.frames(clip, {*small, *(choice.position for choice in large)})
        except FileNotFoundError as error:
            missing.append(f"clip {clip_id} ({error})")
            continue
        for choice in large:
            viewers[clip_id] = comparison.compare(
                clip, choice.reason, choice.position, frames[choice.position], facts(clip)
            )
        crops |= {(clip_id, position): comparison.small_crops(frames[position]) for position in sorted(small)}
    shown: set[tuple[str, int]] = set()
    rows_of = {measure: [_row(choice, crops, shown, numbers) for choice in rows] for measure, rows in worst.items()}
    notes = [f"Pictures left out: {', '.join(missing)}."] if missing else []
    return Album([viewers[choice.clip["id"]] for choice in choices if choice.clip["id"] in viewers], rows_of, notes)


def _row(
    choice: Choice,
    crops: Mapping[tuple[str, int], tuple[dict[str, str], stills.Box]],
    shown: set[tuple[str, int]],
    numbers: Callable[[Choice], list[Cell]],
) -> WorstFrame:
    """A row with its crops the first time its frame comes up."""
    key = choice.clip["id"], choice.position
    cut, box = crops.get(key, ({}, None))
    repeated = key in shown
    shown.add(key)
    anchor = f"worst-{choice.clip['id']}-{choice.frame}"
    return WorstFrame(choice, numbers(choice), anchor, {} if repeated else cut, box, repeated and bool(cut))


def _median_position(clip: Clip) -> int:
    """Position of the frame with the median gain (or PSNR): neither the luckiest nor the unluckiest picture."""
    ours = clip["submission"]["per_frame"].get(clip["curve"], [])
    theirs = clip["bicubic"]["per_frame"].get(clip["curve"]) or [0.0] * len(ours)
    gains = [(minus(*pair), position) for position, pair in enumerate(zip(ours, theirs, strict=True))]
    finite = sorted((gain, position) for gain, position in gains if gain is not None and math.isfinite(gain))
    return finite[len(finite) // 2][1] if finite else len(clip["frames"]) // 2
