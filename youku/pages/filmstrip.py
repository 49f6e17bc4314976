"""Lay out a clip as a strip of small pictures, each with its frame's values and the place where it is pictured large.

A clip's scores, its LR clip (else GT) and the page's anchors by position -> Filmstrip; without clips the strip holds
numbers alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from youku.pages import cells, stills
from youku.pages.footage import Footage
from youku.video import resize

THUMB_WIDTH_PX = 144  # shown at 112 CSS px: sharp enough on a phone's display
MOST_FRAMES = 20  # of a clip, evenly spaced; frames that are pictured large are added


@dataclass(frozen=True)
class Still:
    """One frame of a strip; `anchor` is "" where nothing larger is in the page, `uri` where the clip is gone."""

    frame: int
    uri: str
    psnr: str
    values: str
    anchor: str


@dataclass(frozen=True)
class Filmstrip:
    """A clip's stills in the order of time; all have one size."""

    clip: Mapping[str, Any]
    stills: Sequence[Still]
    width: int
    height: int
    every: int

    @property
    def has_pictures(self) -> bool:
        return any(still.uri for still in self.stills)


def make_filmstrip(clip: Mapping[str, Any], footage: Footage, anchors: Mapping[int, str]) -> Filmstrip:
    """Every n-th frame of a clip so that at most `MOST_FRAMES` are shown, and those with an anchor."""
    num_frames = len(clip["frames"])
    every = -(-num_frames // MOST_FRAMES)
    shown = sorted({*range(0, num_frames, every), *anchors})
    small = footage.small_clip(clip)
    width = THUMB_WIDTH_PX
    height = max(1, round(clip["height"] * width / clip["width"]))
    items = []
    for position in shown:
        uri = ""
        if small is not None:
            picture = stills.to_rgb(*stills.frame_at(small.path, clip["frames"], position))
            uri = stills.jpeg_uri(resize.imresize(picture, height, width))
        psnr, values = _values(clip, position)
        items.append(Still(clip["frames"][position], uri, psnr, values, anchors.get(position, "")))
    return Filmstrip(clip, items, width, height, every)


def _values(clip: Mapping[str, Any], position: int) -> tuple[str, str]:
    """PSNR as the strip prints it, and the sentence about the frame."""
    parts, short = [], ""
    for key, label, unit, digits in ((clip["curve"], "PSNR", " dB", 2), ("vmaf", "VMAF", "", 1)):
        ours, theirs = (clip[side]["per_frame"].get(key) for side in ("submission", "bicubic"))
        if ours:
            beside = f" (bicubic {cells.text(theirs[position], digits)})" if theirs else ""
            parts.append(f"{label} {cells.text(ours[position], digits)}{unit}{beside}")
            short = cells.text(ours[position], 1) if key == clip["curve"] else short
    return short, ", ".join(parts) or "no values a frame"
