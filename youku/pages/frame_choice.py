"""Choose which frames of a scored submission to picture: clips at both ends of the ranking, and the worst frames.

Clips of a score, normalised by `scorefile` -> ChosenFrames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from youku.pages import plots
from youku.text_table import minus

APART = 12  # frames of one clip nearer than this (half a second) show the same thing
ScoredClip = dict[str, Any]


@dataclass(frozen=True)
class ChosenFrame:
    """A frame to picture; `position` counts the frames that were sent."""

    clip: ScoredClip
    position: int
    reason: str = ""

    @property
    def frame(self) -> int:
        """Its number in the whole clip."""
        return int(self.clip["frames"][self.position])


def choose_ends(clips: Sequence[ScoredClip], num_clips: int) -> list[ChosenFrame]:
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
        ChosenFrame(clip, _median_position(clip), f"{end} {what}: {plots.number_text(gain, 3, sign)} dB")
        for end, picked in ends
        for gain, _, clip in picked
    ]


def choose_worst(clips: Sequence[ScoredClip], key: str | None, num_frames: int) -> list[ChosenFrame]:
    """The smallest finite values of a per-frame curve (None: the clip's own PSNR), worst first, apart in a clip."""
    known = []
    for index, clip in enumerate(clips):
        curve = clip["submission"]["per_frame"].get(key or clip["curve"], [])
        known += [(value, index, at) for at, value in enumerate(curve) if value is not None and math.isfinite(value)]
    picked: list[ChosenFrame] = []
    for _, index, position in sorted(known):
        chosen = ChosenFrame(clips[index], position)
        near = [other for other in picked if other.clip is chosen.clip and abs(other.frame - chosen.frame) < APART]
        if len(picked) < num_frames and not near:
            picked.append(chosen)
    return picked


def _median_position(clip: ScoredClip) -> int:
    """Position of the frame with the median gain (or PSNR): neither the luckiest nor the unluckiest picture."""
    ours = clip["submission"]["per_frame"].get(clip["curve"], [])
    theirs = clip["bicubic"]["per_frame"].get(clip["curve"]) or [0.0] * len(ours)
    gains = [(minus(*pair), position) for position, pair in enumerate(zip(ours, theirs, strict=True))]
    finite = sorted((gain, position) for gain, position in gains if gain is not None and math.isfinite(gain))
    return finite[len(finite) // 2][1] if finite else len(clip["frames"]) // 2
